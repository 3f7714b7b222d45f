"""
The base class of API views of enrollments, and functions that return the courses and students that a caller may see.
"""

from collections.abc import Hashable

from rest_framework.viewsets import GenericViewSet

from courses.api.serializers import CourseSerializer
from school.api.base_views import RowScopeMixin
from school.api.list_and_retrieve import ConditionalReadMixin
from school.api.query_parameters import StrictQueryMixin
from school.api.sparse_fields import SparseFieldsMixin
from students.api.serializers import EnrollmentSerializer, StudentSerializer
from students.models import StudentCourse


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
