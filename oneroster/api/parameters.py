"""The parameters of a list: limit, offset, sort, orderBy, filter and fields. Other parameters are ignored."""

import re
from typing import NamedTuple
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException

from oneroster.filters import InvalidFilter
from oneroster.mapping import Kind

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
MAX_OFFSET = 2**31 - 1
NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)


class InvalidParameter(APIException):
    """A parameter is invalid. ``code`` is the standard's code for the error."""

    status_code = 400

    def __init__(self, message: str, code: str = "invaliddata") -> None:
        super().__init__(message, code)

    @classmethod
    def from_filter(cls, error: InvalidFilter) -> "InvalidParameter":
        return cls(str(error), error.code)


class Page(NamedTuple):
    limit: int
    offset: int

    def links(self, url: str, query: QueryDict, total: int) -> str:
        """Return the Link header: the first, previous, next and last page, as far as they exist."""
        last = max((total - 1) // self.limit * self.limit, 0)
        offsets = {"first": 0, "last": last}
        if self.offset > 0:
            offsets["prev"] = min(max(self.offset - self.limit, 0), last)
        if self.offset + self.limit < total:
            offsets["next"] = self.offset + self.limit
        others = [(name, value) for name, values in query.lists() for value in values if name not in self._fields]
        return ", ".join(
            f'<{url}?{urlencode([*others, ("limit", self.limit), ("offset", offsets[name])])}>; rel="{name}"'
            for name in ("first", "prev", "next", "last")
            if name in offsets
        )


def parse_page(query: QueryDict) -> Page:
    limit = _number(query, "limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidParameter(_("limit must be from 1 to %(most)s.") % {"most": MAX_LIMIT})
    return Page(limit, _number(query, "offset", 0))


def parse_order(query: QueryDict) -> tuple[str, bool]:
    """Return the path of the field to sort by, or an empty text, and whether the order is descending."""
    direction = _single(query, "orderBy") or "asc"
    if direction not in ("asc", "desc"):
        raise InvalidParameter(_("orderBy must be asc or desc."))
    return _single(query, "sort") or "", direction == "desc"


def parse_filter_text(query: QueryDict) -> str | None:
    return _single(query, "filter")


def parse_fields(query: QueryDict, kind: Kind) -> frozenset[str] | None:
    """Return the names of the fields that are asked for, None for all."""
    if "fields" not in query:
        return None
    names = [name.strip() for text in query.getlist("fields") for name in text.split(",")]
    unknown = [name for name in names if name not in kind.names]
    if unknown:
        message = _("There is no field %(name)s to select.") % {"name": unknown[0][:100] or "''"}
        raise InvalidParameter(message, "invalid_selection_field")
    return frozenset(names)


def _single(query: QueryDict, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        raise InvalidParameter(_("Give %(name)s once.") % {"name": name})
    return values[0] if values else None


def _number(query: QueryDict, name: str, default: int) -> int:
    text = _single(query, name)
    if text is None:
        return default
    if not NUMBER.fullmatch(text) or int(text) > MAX_OFFSET:
        raise InvalidParameter(_("%(name)s must be a whole number.") % {"name": name})
    return int(text)
