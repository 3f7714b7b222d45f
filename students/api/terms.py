"""API views for terms."""

from typing import Any, cast

from rest_framework.serializers import BaseSerializer

from courses.api.serializers import TERM, TermSerializer
from courses.api.views import TermViewSet
from courses.models import Term
from school.api.openapi.batch_serializers import describe_batch
from students.api.actor import actor_from_request
from students.enrollment import promote_in_terms
from students.imports.object_savers import TermWithWaitlistsSaver


@describe_batch("term", TermSerializer, {**TERM, "code": "2030F"})
class TermWithWaitlistsViewSet(TermViewSet):
    """
    Terms.

    By a change, such as more credits, waitlisted students may get free seats in the same transaction.
    """

    def batch_saver(self) -> TermWithWaitlistsSaver:
        saver = TermWithWaitlistsSaver()
        saver.history = {"default_user": self.request.user}
        saver.actor = actor_from_request(self.request)
        return saver

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)
        promote_in_terms([cast(Term, serializer.instance).pk], actor=actor_from_request(self.request))
