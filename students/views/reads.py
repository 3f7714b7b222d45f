"""How enrollments are read: in what shape, and by which tag."""

from typing import Any

from django.db.models import QuerySet

from courses.models import Course
from courses.serializers import CourseSerializer
from school.api.conditional import ConditionalReads, State, values_of
from school.api.permissions import limits_of
from school.api.shape import Shaped
from school.api.views import WithinLimits
from school.limits import within
from students.models import Student, StudentCourse
from students.serializers import StudentSerializer


def courses_for(request: Any) -> QuerySet[Course] | None:
    """Return the courses that are there for the caller, None for all there are."""
    limits = limits_of(request)
    return None if limits is None else within(Course.objects.all(), limits)


def students_for(request: Any) -> QuerySet[Student] | None:
    """Return the students that are there for the caller, None for all there are."""
    limits = limits_of(request)
    return None if limits is None else within(Student.objects.all(), limits)


class EnrollmentReads(WithinLimits, Shaped, ConditionalReads):
    expandable = {
        "student": (StudentSerializer, "students:read", "students.view_student"),
        "course": (CourseSerializer, "courses:read", "courses.view_course"),
    }

    def state_of(self, row: StudentCourse) -> State:
        # Whatever an act changes, the version says. The place in line, and the names, change without one.
        student, course = row.student, row.course
        more = [value for name in sorted(self.expanded) for value in values_of(getattr(row, name))]
        return (
            row.pk,
            row.version,
            row.waitlist_position,
            student.pk,
            student.student_number,
            student.given_name,
            student.family_name,
            course.pk,
            course.code,
            course.name,
            course.level,
            course.term and course.term.code,
            *more,
        )
