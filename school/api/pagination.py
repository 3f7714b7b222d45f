"""
Keyset pagination: the millionth row costs as much as the first, and pages do not shift while a client reads.

DRF's own cursor counts an offset among rows that share the first ordering value, and stops at 1,000 of them; an import
gives 100,000 rows the same ``updated_at``. Here the id always breaks the tie.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from django.core import signing
from django.db.models import DateField, DateTimeField, F, Q, QuerySet
from django.utils.encoding import escape_uri_path
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request

from school.api.filters import GetValue, field_at_path, parse_ordering
from school.api.row_json import Concat, Instant, encode_json
from school.db.compiled_queries import limit_above


class Cursor(NamedTuple):
    """
    The position of a page in a list: the id of the row beside the page, and whether the page comes before or after that
    row.

    ``value`` is the row's date or instant in the order of the page. For any other order it is None: a text may be
    personal data, so the value is read again by the id.
    """

    pk: int
    backwards: bool = False
    value: str | None = None


def cursor_salt(view: type) -> str:
    """Return the salt for signing the cursors of a view's list, so that cursors of other lists are rejected."""
    return f"cursor:{view.__name__}"


@cache
def cursor_signer(salt: str) -> signing.Signer:
    """Return the signer for a salt. The signature has no timestamp, so that the link to a page is always the same."""
    return signing.Signer(salt=salt, sep=".")


def decode_cursor(text: str, salt: str, order: str) -> Cursor | None:
    """Return the cursor in a signed text; None if it does not belong to this list and order."""
    try:
        parts = cursor_signer(salt).unsign_object(text)
    except signing.BadSignature:
        return None
    match parts:
        case [signed_order, bool(backwards), int(pk), *value] if signed_order == order and len(value) <= 1:
            return Cursor(pk, backwards, *value)
    return None  # the cursor comes from an earlier release, and contains the value of the row


def encode_cursor(salt: str, order: str, cursor: Cursor) -> str:
    """Return a cursor as signed text."""
    value = [] if cursor.value is None else [cursor.value]
    return cursor_signer(salt).sign_object([order, cursor.backwards, cursor.pk, *value])


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page of a list that a request asks for, ordered by the column of ``field``."""

    size: int
    order: str
    field: str
    column: Any
    cursor: Cursor | None = None

    @property
    def backwards(self) -> bool:
        return self.cursor is not None and self.cursor.backwards

    @property
    def is_descending(self) -> bool:
        return self.order.startswith("-") != self.backwards

    @property
    def limit(self) -> int:
        return limit_above(self.size)

    @property
    def cursor_has_value(self) -> bool:
        """True if the cursor contains the value that orders the row: if this is a date or an instant."""
        return isinstance(self.column, DateField)

    @property
    def cursor_expression(self) -> Any:
        """The expression for the value that the cursor contains; None if the cursor contains no value."""
        if not self.cursor_has_value:
            return None
        return Instant(F(self.field)) if isinstance(self.column, DateTimeField) else Concat(F(self.field))

    @property
    def cache_key(self) -> Hashable:
        return self.order, self.cursor and self.backwards, self.limit

    def filter_page(self, rows: QuerySet[Any], get_value: GetValue) -> QuerySet[Any]:
        """
        Return the rows of the page, beginning beside the cursor: the rows of a previous page are in reverse order.
        """
        compare = "lt" if self.is_descending else "gt"
        if self.cursor is not None:
            after_cursor = Q(**{f"pk__{compare}": get_value("cursor id")})
            if self.field != "id":
                value = get_value("cursor value", self.column)
                # Both conditions together select the rows beside the cursor. An index can serve the first one.
                after_cursor = Q(**{f"{self.field}__{compare}e": value}) & (
                    Q(**{f"{self.field}__{compare}": value}) | after_cursor
                )
            rows = rows.filter(after_cursor)
        return self.order_rows(rows)

    def order_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return rows in the order in which the page is read."""
        sign = "-" if self.is_descending else ""
        return rows.order_by(*([] if self.field == "id" else [f"{sign}{self.field}"]), f"{sign}pk")

    def has_next_and_previous(self, *, more: bool) -> tuple[bool, bool]:
        """
        Return whether a next and a previous page exist.

        ``more`` is True if there are more rows in the direction of reading.
        """
        return self.backwards or more, more if self.backwards else self.cursor is not None


class KeysetPagination(BasePagination):
    """
    Returns pages in the form ``{"next", "previous", "results"}``.

    A view lists its orders in ``ordering_fields``, which maps the public name of an order to a field that is never
    null. ``ordering`` is the default order.

    A cursor is signed. It contains the order, the direction, and the id of the row beside the page. If the order is by
    a date or an instant, the cursor also contains that value of the row.
    """

    page_size = 50
    max_page_size = 500

    def parse_page(self, request: Request, view: Any) -> PageRequest:
        """Return the page that the request asks for; raise ``ValidationError``."""
        self.request, self.salt = request, cursor_salt(type(view))
        order = parse_ordering(request, view)
        field = view.ordering_fields[order.removeprefix("-")]
        size, text = self._parse_size(request), request.query_params.get("cursor")
        column = field_at_path(view.queryset.model, field)
        return PageRequest(size, order, field, column, None if text is None else self._parse_cursor(text, order))

    def render_page(
        self, page: PageRequest, rows: Sequence[Any], results: str, has_next: bool, has_previous: bool
    ) -> str:
        """Return the JSON of the answer. ``results`` is the JSON of the rows, separated by commas."""
        following = self._link(page, rows[-1], backwards=False) if rows and has_next else None
        previous = self._link(page, rows[0], backwards=True) if rows and has_previous else None
        return f'{{"next":{encode_json(following)},"previous":{encode_json(previous)},"results":[{results}]}}'

    def _parse_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(self.page_size))
        if not re.fullmatch("[1-9][0-9]{0,3}", text) or int(text) > self.max_page_size:
            message = _("The number of rows must be from 1 to %(most)s.") % {"most": self.max_page_size}
            raise ValidationError({"page_size": [ErrorDetail(message, code="invalid")]})
        return int(text)

    def _parse_cursor(self, text: str, order: str) -> Cursor:
        cursor = decode_cursor(text, self.salt, order)
        if cursor is None:
            message = _("This cursor does not belong to this list in this order. Start without a cursor.")
            raise ValidationError({"cursor": [ErrorDetail(message, code="invalid_cursor")]})
        return cursor

    def _link(self, page: PageRequest, row: Any, *, backwards: bool) -> str:
        text = encode_cursor(self.salt, page.order, Cursor(row.pk, backwards, row.value))
        query = sorted({**dict(self.request.query_params.lists()), "cursor": [text]}.items())
        path = escape_uri_path(self.request.path)
        return f"{self.request.scheme}://{self.request.get_host()}{path}?{urlencode(query, doseq=True)}"

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
            _parameter(
                "cursor", {"type": "string"}, _("The start of the page. Use the value in `next` or `previous`.")
            ),
            _parameter("page_size", size, _("Maximum number of rows on the page.")),
        ]


def order_columns(request: Request, view: Any) -> tuple[str, str]:
    """Return the columns of the order that the request asks for, for a view that returns all rows in one response."""
    order = parse_ordering(request, view)
    sign = "-" if order.startswith("-") else ""
    return f"{sign}{view.ordering_fields[order.removeprefix('-')]}", f"{sign}pk"


def refuse_page_parameters(request: Request) -> None:
    """Raise ``ValidationError`` if a file is requested by page, or with the parameters ``fields`` or ``expand``."""
    message = _("A file always has all rows and all columns, so this parameter is not allowed.")
    paging_parameters = [name for name in ("cursor", "page_size", "fields", "expand") if name in request.query_params]
    if paging_parameters:
        raise ValidationError({name: [ErrorDetail(message, code="unknown_filter")] for name in paging_parameters})


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
