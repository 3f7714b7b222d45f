"""Base views of resources that are created, changed and deleted as a whole."""

from collections.abc import Hashable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model, ProtectedError, QuerySet
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet

from school.access.row_scope import check_can_add, check_in_scope, filter_by_scope
from school.api.etags import check_if_match, check_if_none_match, is_conditional, refuse_if_match
from school.api.idempotency import idempotent
from school.api.list_and_retrieve import ConditionalReadMixin
from school.api.permissions import check_permissions, row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.row_json import json_response
from school.api.sparse_fields import SparseFieldsMixin
from school.db.retry import retry_transaction
from school.http.problems import flatten_errors, status_of
from school.refusals import Refusal, Refused
from school.text_normalization import normalized


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
        return self._save_new(serializer)

    def _save_new(self, serializer: BaseSerializer[Any]) -> Any:
        self.perform_create(serializer)
        row: Any = serializer.instance
        etag, body = self.etag_and_json({"pk": row.pk})
        location = self.request.build_absolute_uri(reverse(self.detail_url_name, args=[row.pk]))
        return json_response(body, 201, {"Location": location, "ETag": etag})

    def key_in_url(self) -> dict[str, Any] | None:
        """Return the fields of the natural key in the URL, with their values in JSON; None if the URL has an id."""
        return None

    def update(self, request: Request, *args: Any, partial: bool = False, **kwargs: Any) -> Any:
        """Change the row in the URL. A PUT with a natural key that no row has creates the row."""
        key = None if partial else self.key_in_url()
        try:
            return self._create_or_change(request, key, partial=partial)
        except (IntegrityError, ValidationError) as error:
            if key is None or not _is_conflict(error):
                raise
            # Another request may have created the row since the look-up. If it has, the row is replaced now.
            return self._create_or_change(request, key, partial=partial)

    @retry_transaction
    @transaction.atomic
    def _create_or_change(self, request: Request, key: Mapping[str, Any] | None, *, partial: bool) -> Any:
        try:
            row = self.find_object()
        except Refused as error:
            if key is None or status_of(error.refusals) != 404:
                raise
            return self._create_by_key(request, key)
        self.prepare_change(row)
        serializer = self.get_serializer(row, data=_with_key(request.data, key or {}), partial=partial)
        serializer.is_valid(raise_exception=True)
        self.perform_update(serializer)
        instance: Any = serializer.instance
        etag, body = self.etag_and_json({"pk": instance.pk})
        return json_response(body, headers={"ETag": etag})

    def _create_by_key(self, request: Request, key: Mapping[str, Any]) -> Any:
        check_permissions(request, self, ["add"])
        check_can_add(self.permission_model, row_scope_of(request))
        refuse_if_match(request)
        if errors := _key_errors(request.data, key):
            raise ValidationError(errors)
        serializer = self.get_serializer(data=_with_key(request.data, key))
        serializer.is_valid(raise_exception=True)
        return self._save_new(serializer)

    @retry_transaction
    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return super().destroy(request, *args, **kwargs)

    def perform_destroy(self, instance: Any) -> None:
        try:
            instance.delete()
        except ProtectedError as error:
            # Rows of another app may have a reason that the model does not know.
            reasons = [getattr(row, "reason_to_keep_target", None) for row in error.protected_objects]
            reason = reasons[0] if all(reasons) else instance.reason_to_keep
            raise Refused([Refusal("has_history", str(reason), _("Has dependent objects"))]) from None

    def get_object(self) -> Any:
        """
        Return the row in the URL. For a change, lock it and check If-Match against its current version.

        Raise ``Refused`` if the row is missing, may not be changed by the caller, or does not match. Without the lock,
        two requests that change different fields at the same time would undo each other's changes: a save writes every
        column.
        """
        row = self.find_object()
        if self.request.method in ("PUT", "PATCH", "DELETE"):
            self.prepare_change(row)
        return row

    def prepare_change(self, row: Any) -> None:
        """Lock a row that is about to be changed. Raise ``Refused`` if that is not allowed, or a condition fails."""
        check_in_scope(row, row_scope_of(self.request))
        self.lock_object(row)
        if self.request.method == "PUT" and "If-None-Match" in self.request.headers:
            check_if_none_match(self.request, self.etag_of(row))
        if is_conditional(self.request):
            check_if_match(self.request, self.etag_of(row))

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


def _with_key(body: Any, key: Mapping[str, Any]) -> Any:
    """Return the body of a PUT, with those fields of the key in the URL that it lacks."""
    known = {name: value for name, value in key.items() if value}
    return {**known, **body} if isinstance(body, Mapping) else body


def _key_errors(body: Any, key: Mapping[str, Any]) -> dict[str, list[ErrorDetail]]:
    """Return the errors, by field, of a body that would create a row with another key than the URL has."""
    if not isinstance(body, Mapping):
        return {}
    sent = {name: normalized(body[name]) if isinstance(body[name], str) else body[name] for name in key if name in body}
    error = ErrorDetail(_("The URL has another value. To create an object, give the same value."), code="invalid")
    return {name: [error] for name, value in sent.items() if value != key[name]}


def _is_conflict(error: IntegrityError | ValidationError) -> bool:
    """Return True if the values of a row conflict with those of another row."""
    return isinstance(error, IntegrityError) or any(each.code == "unique" for each in flatten_errors(error.detail))
