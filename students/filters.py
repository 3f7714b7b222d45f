"""The filters of the lists of students and enrollments."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field

from courses.models import Level
from school.api.filters import CommaSeparated, TrueOrFalse
from school.validators import BIGGEST_ID
from students.models import Status, Student, StudentCourse

ALL = "all"


class StudentFilter(filters.FilterSet):
    is_active = TrueOrFalse()

    class Meta:
        model = Student
        fields = ["student_number"]


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": [*Status.values, ALL]}})
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
    student = filters.NumberFilter("student_id", min_value=1, max_value=BIGGEST_ID, decimal_places=0)
    course = filters.NumberFilter("course_id", min_value=1, max_value=BIGGEST_ID, decimal_places=0)
    student_number = filters.CharFilter("student__student_number")
    course_code = filters.CharFilter("course__code")
    term = filters.CharFilter("course__term__code", help_text="The code of a term.")
    level = filters.ChoiceFilter("course__level", choices=Level.choices)

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
