"""The views of all operations: lists, and single objects."""

import json
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, NotFound
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from oneroster.api.operations import Operation, find, kind_of, rows_of
from oneroster.api.parameters import InvalidParameter, parse_fields, parse_filter_text, parse_order, parse_page
from oneroster.filters import InvalidFilter, apply_filter, apply_order
from oneroster.mapping import V1P1
from oneroster.publishing import REQUEST_SECONDS, Behind, publish
from oneroster.scopes import SCOPE
from oneroster.visibility import context_for
from school.api.authentication import AnonymousAuthentication, ClientAuthentication
from school.api.permissions import MissingPermission, row_scope_of
from school.api.row_json import json_response
from school.api.token_grants import Grant

PATHS = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Busy(APIException):
    """There are more changes to publish than a request waits for."""

    status_code = 429
    default_code = "server_busy"
    wait = 5


def publish_for_request() -> None:
    """Publish everything that is committed; raise ``Busy`` if that takes too long."""
    try:
        publish(seconds=REQUEST_SECONDS)
    except Behind:
        raise Busy(_("The server prepares many changes. Try again after the time in Retry-After.")) from None


class HasScope(BasePermission):
    """Checks that the token has the scope for rosters, or a scope of the standard for the operation."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, Grant):
            return False
        if not request.auth.scopes & {SCOPE, *view.operation.scopes}:
            raise MissingPermission(request, SCOPE, [])
        return True


class OperationView(APIView):
    authentication_classes = (ClientAuthentication, AnonymousAuthentication)
    permission_classes = (HasScope,)
    schema = None
    http_method_names = ("get", "head")
    version_of_standard: str = V1P1
    operation = Operation("", "", frozenset())

    def base_url(self) -> str:
        url: str = self.request.build_absolute_uri(PATHS[self.version_of_standard])
        return url


class ListView(OperationView):
    """A collection, whole or of the objects in the path."""

    def get(self, request: Request, **ids: str) -> HttpResponse:
        publish_for_request()
        collection, row_scope = self.operation.collection, row_scope_of(request)
        kind = kind_of(collection, self.version_of_standard)
        page, fields = parse_page(request.query_params), parse_fields(request.query_params, kind)
        path, descending = parse_order(request.query_params)
        rows = rows_of(collection, self.version_of_standard, row_scope)
        for parent, sourced_id in zip(self.operation.parents, ids.values(), strict=True):
            found = find(parent.collection, self.version_of_standard, row_scope, sourced_id)
            parent_id = found.values_list("sourced_id", flat=True).first()
            if parent_id is None:
                rows = self.without_parent(rows)
                break
            rows = parent.related(rows, parent_id)
        if (text := parse_filter_text(request.query_params)) is not None:
            try:
                rows = apply_filter(rows, kind, text)
            except InvalidFilter as error:
                raise InvalidParameter.from_filter(error) from None
        total = rows.count()
        objects: list[dict[str, Any]] = []
        if page.offset < total:
            # The ids of the page come first: the rows before it are only counted.
            ordered = apply_order(rows, kind, path, descending=descending)
            ids_of_page = ordered.values("sourced_id")[page.offset : page.offset + page.limit]
            rows = apply_order(
                kind.model._default_manager.filter(sourced_id__in=ids_of_page), kind, path, descending=descending
            )
            objects = list(kind.objects(rows, context_for(self.version_of_standard, self.base_url(), row_scope)))
        if fields is not None:
            objects = [{name: value for name, value in each.items() if name in fields} for each in objects]
        links = page.links(request.build_absolute_uri(request.path), request.query_params, total)
        headers = {"X-Total-Count": str(total), "Link": links}
        return json_response(encode({kind.plural: objects}), headers=headers)

    def without_parent(self, rows: Any) -> Any:
        """Return no rows in 1.1, as its consumers expect; raise ``NotFound`` in 1.2."""
        if self.version_of_standard == V1P1:
            return rows.none()
        raise NotFound


class SingleView(OperationView):
    """The object with the id in the path."""

    def get(self, request: Request, sourced_id: str) -> HttpResponse:
        publish_for_request()
        kind, row_scope = kind_of(self.operation.collection, self.version_of_standard), row_scope_of(request)
        fields = parse_fields(request.query_params, kind)
        rows = find(self.operation.collection, self.version_of_standard, row_scope, sourced_id)
        objects = list(kind.objects(rows, context_for(self.version_of_standard, self.base_url(), row_scope)))
        if not objects:
            raise NotFound
        [found] = objects
        if fields is not None:
            found = {name: value for name, value in found.items() if name in fields}
        return json_response(encode({kind.singular: found}))


class NoDemographicsView(OperationView):
    """School has no demographics: the collection is empty, and no single object exists."""

    def get(self, request: Request, sourced_id: str | None = None) -> Response:
        if sourced_id is not None:
            raise NotFound
        page = parse_page(request.query_params)
        links = page.links(request.build_absolute_uri(request.path), request.query_params, 0)
        return Response({"demographics": []}, headers={"X-Total-Count": "0", "Link": links})
