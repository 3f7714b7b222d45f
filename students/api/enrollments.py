"""The API view that lists and returns enrollments."""

from django.shortcuts import get_object_or_404

from students.api.base_views import EnrollmentReadViewSet
from students.api.filters import EnrollmentFilter
from students.models import StudentCourse


class EnrollmentViewSet(EnrollmentReadViewSet):
    """The list of all enrollments, for programs that synchronize with School, and a single enrollment."""

    filterset_class = EnrollmentFilter
    ordering_fields = {"id": "id", "updated_at": "updated_at"}

    def get_object(self) -> StudentCourse:
        # Do not apply the filters to a single enrollment: without a ``status`` in the query, the filters hide ended
        # enrollments.
        return get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])
