"""
Pages by keyset: the millionth row costs what the first did, and no page shifts under a reader.

DRF's own cursor counts an offset among rows that share the first ordering value, and stops at 1,000 of them; an import
gives 100,000 rows one and the same ``updated_at``. Here the id always breaks the tie.
"""

from operator import attrgetter
from typing import Any

from django.core import signing
from django.db.models import Q
from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from school.api.filters import chosen_order


class KeysetPagination(BasePagination):
    """
    Answer ``{"next", "previous", "results"}``.

    A view names its orders in ``ordering_fields``, from public name to field that is never null, and its default in
    ``ordering``. The cursor is signed and holds its order, its direction and the key of the row beside the page.
    """

    page_size = 50
    max_page_size = 500

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.url = request.build_absolute_uri()
        self.salt = f"cursor:{type(view).__name__}"
        self.order = chosen_order(request, view)
        self.field = view.ordering_fields[self.order.removeprefix("-")]
        size = self._size(request)
        backwards, key = self._position(request)
        descending = self.order.startswith("-") != backwards
        sign, compare = ("-", "lt") if descending else ("", "gt")
        if key:
            queryset = queryset.filter(self._beyond(key, compare))
        # One row more than the page tells whether there is another page.
        rows = list(queryset.order_by(f"{sign}{self.field}", f"{sign}pk")[: size + 1])
        more, self.rows = len(rows) > size, rows[:size]
        if backwards:
            self.rows.reverse()
        self.has_next = backwards or more
        self.has_previous = more if backwards else key is not None
        return self.rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "next": self._link(self.rows[-1], backwards=False) if self.rows and self.has_next else None,
                "previous": self._link(self.rows[0], backwards=True) if self.rows and self.has_previous else None,
                "results": data,
            }
        )

    def _size(self, request: Request) -> int:
        asked = request.query_params.get("page_size", str(self.page_size))
        if not (asked.isascii() and asked.isdecimal() and len(asked) < 5 and 1 <= int(asked) <= self.max_page_size):
            message = _("A page has 1 to %(most)s rows.") % {"most": self.max_page_size}
            raise ValidationError({"page_size": [ErrorDetail(message, code="invalid")]})
        return int(asked)

    def _position(self, request: Request) -> tuple[bool, tuple[str, int] | None]:
        cursor = request.query_params.get("cursor")
        if cursor is None:
            return False, None
        try:
            order, backwards, value, pk = signing.loads(cursor, salt=self.salt)
        except signing.BadSignature:
            order = None
        if order != self.order:
            message = _("This cursor is not one of this list in this order. Begin without a cursor.")
            raise ValidationError({"cursor": [ErrorDetail(message, code="invalid_cursor")]})
        return backwards, (value, pk)

    def _beyond(self, key: tuple[str, int], compare: str) -> Q:
        value, pk = key
        if self.field == "id":
            return Q(**{f"pk__{compare}": pk})
        # The first condition is implied by the second, and is what an index can serve.
        return Q(**{f"{self.field}__{compare}e": value}) & (
            Q(**{f"{self.field}__{compare}": value}) | Q(**{f"pk__{compare}": pk})
        )

    def _link(self, row: Any, *, backwards: bool) -> str:
        value = attrgetter(self.field.replace("__", "."))(row)
        cursor = signing.dumps([self.order, backwards, str(value), row.pk], salt=self.salt)
        return str(replace_query_param(remove_query_param(self.url, "cursor"), "cursor", cursor))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri", "example": None}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return [
            _parameter("cursor", {"type": "string"}, _("Where the page begins: take it from `next` and `previous`.")),
            _parameter("page_size", size, _("Rows on the page.")),
        ]


def order_columns(request: Request, view: Any) -> tuple[str, str]:
    """Return the columns of the order that the request asks for, for who answers all rows at once."""
    order = chosen_order(request, view)
    sign = "-" if order.startswith("-") else ""
    return f"{sign}{view.ordering_fields[order.removeprefix('-')]}", f"{sign}pk"


def refuse_parts(request: Request) -> None:
    """Raise ``ValidationError`` where a file is asked for by the page, or in another shape than it has."""
    message = _("A file has all rows, in one shape.")
    asked = [name for name in ("cursor", "page_size", "fields", "expand") if name in request.query_params]
    if asked:
        raise ValidationError({name: [ErrorDetail(message, code="unknown_filter")] for name in asked})


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
