"""Base views of resources that are created, changed and deleted as a whole."""

from collections.abc import Hashable
from typing import Any

from django.db import transaction
from django.db.models import Model, ProtectedError, QuerySet
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet

from school.access.row_scope import refuse_outside, refuse_to_add, within
from school.api.etags import check_if_match, is_conditional
from school.api.idempotency import idempotent
from school.api.permissions import limits_of
from school.api.query_parameters import StrictQuery
from school.api.row_json import JsonText
from school.api.row_responses import ConditionalReads
from school.api.sparse_fields import Shaped
from school.db.retry import retried
from school.refusals import Refusal, Refused


class WithinLimits:
    """A view of the rows within its caller's limits. All other rows do not exist for the caller."""

    request: Any

    @cached_property
    def limits(self) -> Any:
        """The caller's limits, None for everything; ``LimitParameters`` while a query is compiled."""
        return limits_of(self.request)

    def get_queryset(self) -> QuerySet[Any]:
        view: Any = super()
        return within(view.get_queryset(), self.limits)


class ResourceViewSet(WithinLimits, StrictQuery, Shaped, ConditionalReads, ModelViewSet[Any]):
    """
    A resource with its history. The row and its history are saved in one transaction.

    The model's ``reason_to_keep`` says why a row that other rows belong to is not deleted, and how to proceed instead.
    """

    address: str  # the URL name of a single row

    def kept_shape(self) -> Hashable:
        return self.address

    def row_lookups(self) -> dict[str, Any]:
        return {"pk": self.pk_in_address()}

    def pk_in_address(self) -> int:
        """Return the id in the URL. A row with this id need not exist. Raise ``Refused``."""
        return int(self.find().pk)

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
        tag, text = self.tag_and_text({"pk": row.pk})
        location = request.build_absolute_uri(reverse(self.address, args=[row.pk]))
        return Response(JsonText(text), 201, headers={"Location": location, "ETag": tag})

    @retried
    @transaction.atomic
    def update(self, request: Request, *args: Any, partial: bool = False, **kwargs: Any) -> Response:
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        self.perform_update(serializer)
        instance: Any = serializer.instance
        tag, text = self.tag_and_text({"pk": instance.pk})
        return Response(JsonText(text), headers={"ETag": tag})

    @retried
    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(request, *args, **kwargs)

    def perform_destroy(self, instance: Any) -> None:
        try:
            instance.delete()
        except ProtectedError:
            raise Refused([Refusal("has_history", str(instance.reason_to_keep), _("Has dependent objects"))]) from None

    def get_object(self) -> Any:
        """
        Return the row in the URL. For a change, lock it and check If-Match against its current version.

        Raise ``Refused`` if the row is missing, may not be changed by the caller, or does not match. Without the lock,
        two requests that change different fields at the same time would undo each other's changes: a save writes every
        column.
        """
        found = self.find()
        if self.request.method in ("PUT", "PATCH", "DELETE"):
            refuse_outside(found, limits_of(self.request))
            self.lock(found)
            if is_conditional(self.request):
                check_if_match(self.request, self.tag_of(found))
        return found

    def find(self) -> Any:
        """Return the row in the URL; raise ``Refused`` or ``Http404``."""
        return super().get_object()

    def lock(self, found: Model) -> None:
        """
        Lock the row and read it again.

        A row that is to be deleted is locked FOR UPDATE before rows that refer to it are searched for, so that no such
        row is added in between. The lock for other changes (FOR NO KEY UPDATE) does not block such additions.
        """
        changes_only = self.request.method != "DELETE"
        found.refresh_from_db(from_queryset=type(found)._base_manager.select_for_update(no_key=changes_only))
