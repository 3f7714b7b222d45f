"""API views for the table of grades."""

from typing import Any

from rest_framework.serializers import BaseSerializer

from courses.api.views import GradeViewSet
from students.api.actor import actor_from_request
from students.enrollment import promote_by_grades


class GradeWithWaitlistsViewSet(GradeViewSet):
    """
    The table of grades.

    By a change, waitlisted students may meet prerequisites, and get free seats in the same transaction.
    """

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_create(serializer)
        promote_by_grades(actor=actor_from_request(self.request))

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)
        promote_by_grades(actor=actor_from_request(self.request))

    def perform_destroy(self, instance: Any) -> None:
        super().perform_destroy(instance)
        promote_by_grades(actor=actor_from_request(self.request))
