"""
The base class of API views of enrollments, and functions that return the courses and students that a caller may see.
"""

from collections.abc import Hashable
from typing import Any

from django.db.models import QuerySet
from rest_framework.viewsets import GenericViewSet

from courses.api.serializers import CourseSerializer
from courses.models import Course
from school.access.row_scope import filter_by_scope
from school.api.permissions import row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.row_responses import ConditionalReadMixin
from school.api.sparse_fields import SparseFieldsMixin
from school.api.views import RowScopeMixin
from students.api.serializers import EnrollmentSerializer, StudentSerializer
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


class EnrollmentReadViewSet(
    RowScopeMixin, StrictQueryMixin, SparseFieldsMixin, ConditionalReadMixin, GenericViewSet[StudentCourse]
):
    """Base class of views of enrollments, ordered by id."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = StudentCourse.objects.with_details()
    serializer_class = EnrollmentSerializer
    ordering = "id"
    expandable = {
        "student": (StudentSerializer, "students:read", "students.view_student"),
        "course": (CourseSerializer, "courses:read", "courses.view_course"),
    }

    def query_cache_key(self) -> Hashable:
        return ()
