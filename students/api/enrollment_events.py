"""The API view of an enrollment's journal."""

from collections.abc import Hashable
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.viewsets import GenericViewSet

from school.access.row_scope import filter_by_scope
from school.api.base_views import RowScopeMixin
from school.api.list_and_retrieve import ConditionalReadMixin
from school.api.permissions import row_scope_of
from school.api.query_parameters import StrictQueryMixin
from students.api.serializers import (
    EnrollmentEventSerializer,
)
from students.models import EnrollmentEvent, StudentCourse


class EnrollmentEventsViewSet(RowScopeMixin, StrictQueryMixin, ConditionalReadMixin, GenericViewSet[EnrollmentEvent]):
    """The journal entries of one enrollment, from the oldest to the newest."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = EnrollmentEvent.objects.select_related("actor")
    serializer_class = EnrollmentEventSerializer
    ordering_fields = {"id": "id"}
    ordering = "id"

    def query_cache_key(self) -> Hashable:
        return ()

    def get_queryset(self) -> QuerySet[EnrollmentEvent]:
        return super().get_queryset().filter(enrollment_id=self.parameter("enrollment"))

    def parameter_values(self) -> dict[str, Any]:
        return {"enrollment": self.kwargs["pk"]}

    def check_parent_exists(self) -> None:
        get_object_or_404(
            filter_by_scope(StudentCourse.objects.all(), row_scope_of(self.request)), pk=self.kwargs["pk"]
        )
