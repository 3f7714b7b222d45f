"""The filters of the lists of students and enrollments."""

from typing import Any

from django.core.validators import RegexValidator
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError

from courses.filters import CourseFilter
from courses.lookup import course_key, courses_by_key
from courses.models import Course, Level
from school.api.filters import ChangedSince, CommaSeparated, TrueOrFalse, UpdatedSince
from school.api.permissions import limits_of
from school.limits import within
from school.refusals import Refusal
from school.validators import parse_ids
from students.lookup import student_ids_by_number
from students.models import Status, Student, StudentCourse

ALL = "all"

STUDENT_KEY = r"^([1-9][0-9]{0,18}|number:.+)$"
COURSE_KEY = r"^([1-9][0-9]{0,18}|code:.+)$"


class StudentFilter(filters.FilterSet):
    is_active = TrueOrFalse()
    updated_since = ChangedSince()

    class Meta:
        model = Student
        fields = ["student_number"]


class HasSeats(TrueOrFalse):
    """Courses with a free seat, or without one; no limit is always free. For courses read ``with_seats``."""

    def filter(self, qs: Any, value: bool | str) -> QuerySet[Any]:
        if value == "":
            return qs
        if value:
            return qs.filter(Q(capacity__isnull=True) | Q(capacity__gt=F("seats_taken")))
        return qs.filter(capacity__lte=F("seats_taken"))


class CourseWithSeatsFilter(CourseFilter):
    has_seats = HasSeats()

    class Meta(CourseFilter.Meta):
        pass


@extend_schema_field({"type": "string", "pattern": STUDENT_KEY, "example": "number:S-1042"})
class StudentKeyFilter(filters.CharFilter):
    """A student, named as in an address. One who is not there has no rows."""

    def filter(self, qs: Any, value: str) -> QuerySet[Any]:
        if not value:
            return qs
        if value.startswith("number:"):
            ids = list(student_ids_by_number([value.removeprefix("number:")]).values())
        else:
            ids = parse_ids(value)
        return qs.filter(student__in=ids)


@extend_schema_field({"type": "string", "pattern": COURSE_KEY, "example": "code:MATH-101@2026F"})
class CourseKeyFilter(filters.CharFilter):
    """A course, named as in an address. One that is not there has no rows, a code that fits several is an error."""

    def filter(self, qs: Any, value: str) -> QuerySet[Any]:
        if not value:
            return qs
        if not value.startswith("code:"):
            return qs.filter(course__in=parse_ids(value))
        key = course_key(value)
        found = courses_by_key([key], within(Course.objects.all(), limits_of(self.parent.request)))[key]
        if not isinstance(found, Refusal):
            return qs.filter(course=found)
        if found.code == "course_ambiguous":
            raise ValidationError({"course": [ErrorDetail(found.message, code=found.code)]})
        return qs.none()


@extend_schema_field({"type": "string", "enum": [*Status.values, ALL]})
class StatusFilter(filters.MultipleChoiceFilter):
    """One status or several, or ``all``; who does not ask sees the open ones."""

    def __init__(self) -> None:
        super().__init__(
            choices=[*Status.choices, (ALL, _("all"))],
            widget=CommaSeparated,
            help_text=_("Several, parted by commas, or all. Default: the open ones, enrolled and waitlisted."),
        )

    def filter(self, qs: Any, value: list[str]) -> QuerySet[Any]:
        if ALL in value:
            return qs
        return qs.filter(status__in=value) if value else qs.open()


class EnrollmentFilter(filters.FilterSet):
    """The filters of every list of enrollments: a student's, a course's, and the flat one."""

    status = StatusFilter()
    student: Any = StudentKeyFilter(
        validators=[RegexValidator(STUDENT_KEY)], help_text=_("An id, or number: and a student number.")
    )
    course: Any = CourseKeyFilter(
        validators=[RegexValidator(COURSE_KEY)], help_text=_("An id, or code: and a code, with @ and the term's code.")
    )
    student_number = filters.CharFilter("student__student_number")
    course_code = filters.CharFilter("course__code")
    term = filters.CharFilter("course__term__code", help_text="The code of a term.")
    level = filters.ChoiceFilter("course__level", choices=Level.choices)
    updated_since = UpdatedSince("updated_at")

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
