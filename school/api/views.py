"""What the resources that are edited as a whole have in common."""

from typing import Any

from django.db import transaction
from django.db.models import Model
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from school.retry import retried


class ResourceViewSet(ModelViewSet[Any]):
    """A resource with its history: the row and its history are written both or neither."""

    address: str  # the name of the URL of one

    def get_success_headers(self, data: Any) -> dict[str, str]:
        return {"Location": self.request.build_absolute_uri(reverse(self.address, args=[data["id"]]))}

    @retried
    @transaction.atomic
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().create(request, *args, **kwargs)

    @retried
    @transaction.atomic
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().update(request, *args, **kwargs)

    def get_object(self) -> Any:
        """
        Return the row that the address names; for a change, as it is under its lock.

        Two who change different fields at once would otherwise undo each other: a save writes every column.
        """
        found = self.find()
        if self.request.method in ("PUT", "PATCH"):
            found.refresh_from_db(from_queryset=type(found)._base_manager.select_for_update(no_key=True))
        return found

    def find(self) -> Any:
        """Return the row that the address names; raise ``Refused`` or ``Http404``."""
        return super().get_object()

    @retried
    @transaction.atomic
    def perform_destroy(self, instance: Model) -> None:
        super().perform_destroy(instance)
