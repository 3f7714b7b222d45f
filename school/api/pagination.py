"""
Pages by keyset: the millionth row costs what the first did, and no page shifts under a reader.

DRF's own cursor counts an offset among rows that share the first ordering value, and stops at 1,000 of them; an import
gives 100,000 rows one and the same ``updated_at``. Here the id always breaks the tie.
"""

import hashlib
import hmac
from functools import cache
from operator import attrgetter
from typing import Any

from django.core import signing
from django.db.models import Q
from django.utils.encoding import force_bytes
from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from school.api.filters import chosen_order

PAGE_SIZE = 50
MAX_PAGE_SIZE = 500

Key = tuple[str, int]  # the value that a row is ordered by, and its id


def salt_of(view: type) -> str:
    """Return what the cursors of a view's list are signed with, so that those of another list are told from them."""
    return f"cursor:{view.__name__}"


class Signer(signing.Signer):
    """Django's, which derives its key from salt and secret for each signature, and needs to once."""

    def signature(self, value: str | bytes, key: Any = None) -> str:
        derived = _key_of(self.salt, key or self.key, self.algorithm)
        return signing.b64_encode(hmac.digest(derived, force_bytes(value), self.algorithm)).decode()


@cache
def _key_of(salt: str, secret: str | bytes, algorithm: str) -> bytes:
    return hashlib.new(algorithm, f"{salt}signer".encode() + force_bytes(secret)).digest()


@cache
def signer_of(salt: str) -> Signer:
    """Return what signs cursors with a salt: the same each time, and as an address takes it."""
    return Signer(salt=salt, sep=".")


def read_size(text: str | None) -> int | None:
    """Return the size of page that is asked for, None for one that is not offered."""
    if text is None:
        return PAGE_SIZE
    is_size = text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MAX_PAGE_SIZE
    return int(text) if is_size else None


def read_cursor(text: str, salt: str, order: str) -> tuple[bool, Key] | None:
    """Return whether a cursor leads backwards and from which row; None for one that is not of this list and order."""
    try:
        of_order, backwards, value, pk = signer_of(salt).unsign_object(text)
    except signing.BadSignature:
        return None
    return (backwards, (value, pk)) if of_order == order else None


def cursor_beside(salt: str, order: str, backwards: bool, key: Key) -> str:
    """Return the cursor of the page on one side of a row."""
    return signer_of(salt).sign_object([order, backwards, *key])


def link_to(url: str, salt: str, order: str, backwards: bool, key: Key) -> str:
    """Return the address of the page beside a row."""
    cursor = cursor_beside(salt, order, backwards, key)
    return str(replace_query_param(remove_query_param(url, "cursor"), "cursor", cursor))


class KeysetPagination(BasePagination):
    """
    Answer ``{"next", "previous", "results"}``.

    A view names its orders in ``ordering_fields``, from public name to field that is never null, and its default in
    ``ordering``. The cursor is signed and holds its order, its direction and the key of the row beside the page.
    """

    page_size = PAGE_SIZE
    max_page_size = MAX_PAGE_SIZE

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.url = request.build_absolute_uri()
        self.salt = salt_of(type(view))
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
        size = read_size(request.query_params.get("page_size"))
        if size is None:
            message = _("A page has 1 to %(most)s rows.") % {"most": self.max_page_size}
            raise ValidationError({"page_size": [ErrorDetail(message, code="invalid")]})
        return size

    def _position(self, request: Request) -> tuple[bool, Key | None]:
        cursor = request.query_params.get("cursor")
        if cursor is None:
            return False, None
        position = read_cursor(cursor, self.salt, self.order)
        if position is None:
            message = _("This cursor is not one of this list in this order. Begin without a cursor.")
            raise ValidationError({"cursor": [ErrorDetail(message, code="invalid_cursor")]})
        return position

    def _beyond(self, key: Key, compare: str) -> Q:
        value, pk = key
        if self.field == "id":
            return Q(**{f"pk__{compare}": pk})
        # The first condition is implied by the second, and is what an index can serve.
        return Q(**{f"{self.field}__{compare}e": value}) & (
            Q(**{f"{self.field}__{compare}": value}) | Q(**{f"pk__{compare}": pk})
        )

    def _link(self, row: Any, *, backwards: bool) -> str:
        value = attrgetter(self.field.replace("__", "."))(row)
        return link_to(self.url, self.salt, self.order, backwards, (str(value), row.pk))

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
