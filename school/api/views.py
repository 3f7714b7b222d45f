"""What the resources that are edited as a whole have in common."""

from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from school.api.conditional import ConditionalReads, check_if_match, is_conditional
from school.api.idempotency import idempotent
from school.api.permissions import limits_of
from school.api.shape import Shaped
from school.limits import refuse_outside, refuse_to_add, within
from school.retry import retried


class WithinLimits:
    """A view whose rows are those within its caller's limits: all others are not there."""

    def get_queryset(self) -> QuerySet[Any]:
        view: Any = super()
        caller: Any = self
        return within(view.get_queryset(), limits_of(caller.request))


class ResourceViewSet(WithinLimits, Shaped, ConditionalReads, ModelViewSet[Any]):
    """A resource with its history: the row and its history are written both or neither."""

    address: str  # the name of the URL of one
    permission_model: type[Model]

    @idempotent
    @retried
    @transaction.atomic
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        refuse_to_add(self.permission_model, limits_of(request))
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self.perform_create(serializer)
        row: Any = serializer.instance
        refuse_outside(row, limits_of(request))
        location = request.build_absolute_uri(reverse(self.address, args=[row.pk]))
        return Response(serializer.data, 201, headers={"Location": location, "ETag": self.tag_of(row)})

    @retried
    @transaction.atomic
    def update(self, request: Request, *args: Any, partial: bool = False, **kwargs: Any) -> Response:
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        self.perform_update(serializer)
        refuse_outside(serializer.instance, limits_of(request))
        return Response(serializer.data, headers={"ETag": self.tag_of(serializer.instance)})

    @retried
    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(request, *args, **kwargs)

    def get_object(self) -> Any:
        """
        Return the row that the address names; for a change, as it is under its lock, and as If-Match says it is.

        Two who change different fields at once would otherwise undo each other: a save writes every column.
        """
        found = self.find()
        if self.request.method in ("PUT", "PATCH", "DELETE"):
            refuse_outside(found, limits_of(self.request))
            self.lock(found)
            if is_conditional(self.request):
                check_if_match(self.request, self.tag_of(found))
        return found

    def find(self) -> Any:
        """Return the row that the address names; raise ``Refused`` or ``Http404``."""
        return super().get_object()

    def lock(self, found: Model) -> None:
        """Lock the row, and read it again."""
        found.refresh_from_db(from_queryset=type(found)._base_manager.select_for_update(no_key=True))
