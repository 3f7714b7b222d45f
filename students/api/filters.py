"""The API filters of the lists of students, holds, courses with seats, and enrollments."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError as FormError
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError

from courses.api.filters import CourseFilter
from courses.lookup import courses_by_key, parse_course_key
from courses.models import Course, Level, Term
from school.access.row_scope import filter_by_scope
from school.api.filters import (
    CommaSeparatedWidget,
    HistoryUpdatedSinceFilter,
    StrictBooleanFilter,
    StrictFilterSet,
    TextFilter,
    UpdatedSinceFilter,
    parse_conditions,
)
from school.api.permissions import row_scope_of
from school.identifiers import parse_ids
from school.refusals import Refusal, suggest_key
from school.text_normalization import normalized
from students.as_of_parameter import parse_as_of
from students.events.as_of import AS_OF, PastPages
from students.lookup import student_ids_by_number
from students.models import Hold, Status, Student, StudentCourse

ALL = "all"

STUDENT_KEY_PATTERN = r"^([1-9][0-9]{0,18}|number:.+)$"
COURSE_KEY_PATTERN = r"^([1-9][0-9]{0,18}|code:.+)$"


def _key_validator(pattern: str, prefix: str) -> Callable[[str], None]:
    """Return a validator of ids and keys. For a text without the prefix, the error suggests the key with the prefix."""

    def validate(text: str) -> None:
        if not re.fullmatch(pattern[1:-1], text, re.DOTALL):
            message = _("Write an id, or %(prefix)s followed by the number or code.") % {"prefix": prefix}
            raise FormError(message + suggest_key(text, prefix), code="invalid")

    return validate


class StudentFilter(StrictFilterSet):
    is_active = StrictBooleanFilter()
    updated_since = HistoryUpdatedSinceFilter()

    class Meta:
        model = Student
        fields = ["student_number"]


class HasSeatsFilter(StrictBooleanFilter):
    """
    Filters courses with or without a free seat. A course without a limit always has one.

    The queryset must be annotated by ``annotate_seats``.
    """

    def filter(self, qs: Any, value: bool | str) -> QuerySet[Any]:
        if value == "":
            return qs
        if value:
            return qs.filter(Q(capacity__isnull=True) | Q(capacity__gt=F("seats_taken")))
        return qs.filter(capacity__lte=F("seats_taken"))


class CourseWithSeatsFilter(CourseFilter):
    has_seats = HasSeatsFilter()

    class Meta(CourseFilter.Meta):
        pass


@extend_schema_field({"type": "string", "pattern": STUDENT_KEY_PATTERN})
class StudentKeyFilter(TextFilter):
    """Filters by a student, given as in a URL path. An unknown student matches no rows."""

    def id_of(self, value: str, request: Any) -> int:
        """Return the id of the student that the value names; 0 if there is no such student."""
        if value.startswith("number:"):
            ids = list(student_ids_by_number([normalized(value.removeprefix("number:"))]).values())
        else:
            ids = parse_ids(value)
        return ids[0] if ids else 0

    def filter(self, qs: Any, value: Any) -> QuerySet[Any]:
        return qs if value == "" else qs.filter(student_id=value)


@extend_schema_field({"type": "string", "pattern": COURSE_KEY_PATTERN})
class CourseKeyFilter(TextFilter):
    """Filters by a course, given as in a URL path. An unknown course matches no rows; an ambiguous code is an error."""

    def id_of(self, value: str, request: Any) -> int:
        """
        Return the id of the course that the value names; 0 if there is no such course.

        Raise ``ValidationError`` for a code that several courses have.
        """
        if not value.startswith("code:"):
            return next(iter(parse_ids(value)), 0)
        key = parse_course_key(value)
        row_scope = row_scope_of(request)
        course = courses_by_key([key], None if row_scope is None else filter_by_scope(Course.objects.all(), row_scope))[
            key
        ]
        if not isinstance(course, Refusal):
            return int(course.pk)
        if course.code == "course_ambiguous":
            raise ValidationError({"course": [ErrorDetail(course.message, code=course.code)]})
        return 0

    def filter(self, qs: Any, value: Any) -> QuerySet[Any]:
        return qs if value == "" else qs.filter(course_id=value)


@extend_schema_field({"type": "string", "enum": [*Status.values, ALL]})
class StatusFilter(filters.MultipleChoiceFilter):
    """
    Filters enrollments by one or several statuses.

    With ``all`` every enrollment matches; without a value only open enrollments match.
    """

    def __init__(self) -> None:
        super().__init__(
            choices=[*Status.choices, (ALL, _("all"))],
            widget=CommaSeparatedWidget,
            help_text=_(
                "One or more statuses, separated by commas, or `all`. Default: the open ones, enrolled and waitlisted."
            ),
        )

    def filter(self, qs: Any, value: list[str]) -> QuerySet[Any]:
        if ALL in value:
            return qs
        return qs.filter(status__in=value) if value else qs.open()


@extend_schema_field({"type": "string", "enum": ["open", ALL]})
class HoldStatusFilter(filters.ChoiceFilter):
    """Filters holds: with ``all`` released ones match too, otherwise only open ones."""

    def __init__(self) -> None:
        super().__init__(
            choices=[("open", _("open")), (ALL, _("all"))],
            help_text=_("`all` includes released holds. Default: `open`."),
        )

    def filter(self, qs: Any, value: str) -> QuerySet[Any]:
        return qs if value == ALL else qs.open()


class HoldFilter(StrictFilterSet):
    status = HoldStatusFilter()

    class Meta:
        model = Hold
        fields: list[str] = []


@extend_schema_field({"type": "string", "examples": ["2026-10-01", "census:2026F"]})
class AsOfFilter(TextFilter):
    """Makes the list one of an earlier instant. It leaves out no row by itself."""

    page_compiler = PastPages()

    def __init__(self) -> None:
        super().__init__(help_text=_("As of the end of a day, an instant, or `census:` and a term. By the journal."))

    def instant_of(self, value: str, request: Any) -> datetime:
        """Return the instant; raise ``ValidationError`` or ``Refused``."""
        row_scope = row_scope_of(request)
        terms = Term.objects.all()
        try:
            return parse_as_of(value, terms if row_scope is None else filter_by_scope(terms, row_scope))
        except FormError as error:
            raise ValidationError({AS_OF: [ErrorDetail(str(error.message), code=error.code)]}) from None

    def filter(self, qs: Any, value: Any) -> QuerySet[Any]:
        return qs


def as_of_instant(request: Any, view: Any) -> datetime | None:
    """Return the instant of the parameter ``as_of`` of a list; None without it."""
    return next((each.value for each in parse_conditions(request, view) if each.name == AS_OF), None)


class EnrollmentFilter(StrictFilterSet):
    """
    The filters that every list of enrollments has: the list of a student, the roster of a course, the list of all
    enrollments.
    """

    status = StatusFilter()
    student: Any = StudentKeyFilter(
        validators=[_key_validator(STUDENT_KEY_PATTERN, "number:")],
        help_text=_("An id, or `number:` and a student number."),
    )
    course: Any = CourseKeyFilter(
        validators=[_key_validator(COURSE_KEY_PATTERN, "code:")],
        help_text=_("As in the path: an id, or `code:` and a key, such as `code:MATH-101@2026F`."),
    )
    student_number: Any = TextFilter("student__student_number")
    course_code: Any = TextFilter("course__code")
    term: Any = TextFilter("course__term__code", help_text="The code of a term.")
    level = filters.ChoiceFilter("course__level", choices=Level.choices)
    updated_since = UpdatedSinceFilter("updated_at")
    as_of = AsOfFilter()

    class Meta:
        model = StudentCourse
        fields: list[str] = []


class StudentCoursesFilter(EnrollmentFilter):
    """The filters of one student's enrollments."""

    student = None
    student_number = None


class RosterFilter(EnrollmentFilter):
    """The filters of one course's enrollments."""

    course = None
    course_code = None
    term = None
    level = None
