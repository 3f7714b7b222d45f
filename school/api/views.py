"""Base views of resources that are created, changed and deleted as a whole."""

from collections.abc import Hashable
from typing import Any

from django.db import transaction
from django.db.models import Model, ProtectedError, QuerySet
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.viewsets import ModelViewSet

from school.access.row_scope import check_can_add, check_in_scope, filter_by_scope
from school.api.etags import check_if_match, is_conditional
from school.api.idempotency import idempotent
from school.api.permissions import row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.row_json import json_response
from school.api.row_responses import ConditionalReadMixin
from school.api.sparse_fields import SparseFieldsMixin
from school.db.retry import retry_transaction
from school.refusals import Refusal, Refused


class RowScopeMixin:
    """A view that shows only the rows that its caller may see. The response for any other row is 404."""

    request: Any

    @cached_property
    def row_scope(self) -> Any:
        """
        The row scope of the caller; None if the caller may see all rows.

        While a query is compiled, it is a ``RowScopeParameters``.
        """
        return row_scope_of(self.request)

    def get_queryset(self) -> QuerySet[Any]:
        view: Any = super()
        return filter_by_scope(view.get_queryset(), self.row_scope)


class ResourceViewSet(RowScopeMixin, StrictQueryMixin, SparseFieldsMixin, ConditionalReadMixin, ModelViewSet[Any]):
    """
    A resource with its history. The row and its history are saved in one transaction.

    The model's ``reason_to_keep`` says why a row that other rows belong to is not deleted, and how to proceed instead.
    """

    detail_url_name: str  # the name of the URL pattern of a single row

    def query_cache_key(self) -> Hashable:
        return self.detail_url_name

    def row_lookups(self) -> dict[str, Any]:
        return {"pk": self.pk_in_url()}

    def pk_in_url(self) -> int:
        """Return the id in the URL. A row with this id need not exist. Raise ``Refused``."""
        return int(self.find_object().pk)

    permission_model: type[Model]

    @idempotent
    @retry_transaction
    @transaction.atomic
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        check_can_add(self.permission_model, row_scope_of(request))
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self.perform_create(serializer)
        row: Any = serializer.instance
        etag, body = self.etag_and_json({"pk": row.pk})
        location = request.build_absolute_uri(reverse(self.detail_url_name, args=[row.pk]))
        return json_response(body, 201, {"Location": location, "ETag": etag})

    @retry_transaction
    @transaction.atomic
    def update(self, request: Request, *args: Any, partial: bool = False, **kwargs: Any) -> Any:
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        self.perform_update(serializer)
        instance: Any = serializer.instance
        etag, body = self.etag_and_json({"pk": instance.pk})
        return json_response(body, headers={"ETag": etag})

    @retry_transaction
    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Any:
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
        row = self.find_object()
        if self.request.method in ("PUT", "PATCH", "DELETE"):
            check_in_scope(row, row_scope_of(self.request))
            self.lock_object(row)
            if is_conditional(self.request):
                check_if_match(self.request, self.etag_of(row))
        return row

    def find_object(self) -> Any:
        """Return the row in the URL; raise ``Refused`` or ``Http404``."""
        return super().get_object()

    def lock_object(self, row: Model) -> None:
        """
        Lock the row and read it again.

        A row that is to be deleted is locked FOR UPDATE before rows that refer to it are searched for, so that no such
        row is added in between. The lock for other changes (FOR NO KEY UPDATE) does not block such additions.
        """
        changes_only = self.request.method != "DELETE"
        row.refresh_from_db(from_queryset=type(row)._base_manager.select_for_update(no_key=changes_only))
