"""What the resources that are edited as a whole have in common."""

from typing import Any

from django.db import transaction
from django.db.models import Model
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet


class ResourceViewSet(ModelViewSet[Any]):
    """A resource with its history: the row and its history are written both or neither."""

    @transaction.atomic
    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_create(serializer)

    @transaction.atomic
    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)

    @transaction.atomic
    def perform_destroy(self, instance: Model) -> None:
        super().perform_destroy(instance)
