"""What the resources that are edited as a whole have in common."""

from typing import Any

from django.db import transaction
from django.db.models import Model
from django.urls import reverse
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet


class ResourceViewSet(ModelViewSet[Any]):
    """A resource with its history: the row and its history are written both or neither."""

    address: str  # the name of the URL of one

    def get_success_headers(self, data: Any) -> dict[str, str]:
        return {"Location": self.request.build_absolute_uri(reverse(self.address, args=[data["id"]]))}

    @transaction.atomic
    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_create(serializer)

    @transaction.atomic
    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)

    @transaction.atomic
    def perform_destroy(self, instance: Model) -> None:
        super().perform_destroy(instance)
