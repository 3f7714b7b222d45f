"""The courses and students that a caller of the API may see or enroll."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from courses.models import Course
from school.access.row_scope import filter_by_scope
from school.api.permissions import row_scope_of
from students.models import Student, StudentCourse


def visible_courses(request: Any) -> QuerySet[Course] | None:
    """Return the courses that the caller may see; None if the caller may see all."""
    row_scope = row_scope_of(request)
    return None if row_scope is None else filter_by_scope(Course.objects.all(), row_scope)


def visible_students(request: Any) -> QuerySet[Student] | None:
    """Return the students that the caller may see; None if the caller may see all."""
    row_scope = row_scope_of(request)
    return None if row_scope is None else filter_by_scope(Student.objects.all(), row_scope)


def enrollable_students(request: Any) -> QuerySet[Student] | None:
    """
    Return the students that the caller may enroll; None if the caller may enroll all.

    A limited client may enroll any student, since it does not see students who are new to its courses. Limited staff
    may enroll the students they see.
    """
    row_scope = row_scope_of(request)
    return None if row_scope is None or row_scope.is_client else visible_students(request)


def count_visible(request: Any, enrollment_ids: Collection[int]) -> int:
    """Return how many of these enrollments the caller may see."""
    row_scope = row_scope_of(request)
    if row_scope is None or not enrollment_ids:
        return len(enrollment_ids)
    return filter_by_scope(StudentCourse.objects.filter(pk__in=enrollment_ids), row_scope).count()
