"""
The shortcut of a list.

A page is one prepared statement, in which PostgreSQL writes the rows in JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from school.api.conditional import is_known, tag_of_text
from school.api.pagination import PAGE_SIZE, Key, cursor_beside, read_cursor, read_size, salt_of
from school.api.printing import row_in_json
from school.api.shortcuts import admit
from school.prepared import ON_POSTGRESQL, SLOTS, Statement, compiled, compiler_of
from school.validators import parse_ids

_in_json = json.JSONEncoder(separators=(",", ":")).encode

ORDER = "id"
PARENT, BESIDE = SLOTS[0], SLOTS[1]
# For how many rows statements are made: the plan for some is not the one for many.
LIMITS = (11, 26, 51, 101, 201, 501)


class Page(NamedTuple):
    """Which page of a list: how many rows, whether that was said, and on which side of which row."""

    size: int
    is_sized: bool = False
    backwards: bool = False
    beside: Key | None = None


def admit_reader(request: HttpRequest, scope: str) -> bool:
    """Tell whether a request may be answered by rows that PostgreSQL writes, and count it as taken."""
    return ON_POSTGRESQL and admit(request, f"{scope}:read") is not None


def limit_above(size: int) -> int:
    """Return for how many rows a statement must be made, to tell whether there are more than these."""
    return next(limit for limit in LIMITS if size < limit)


def answer_with(frame: Mapping[str, Any], results: str, headers: dict[str, str] | None = None) -> HttpResponse:
    """Return an answer that has rows in JSON, parted by commas, as its ``results``."""
    body = f'{_in_json(frame)[:-1]},"results":[{results}]}}'
    return HttpResponse(body, content_type="application/json", headers=headers)


@dataclass
class Express:
    """
    A list in its plain form: all ``rows``, or those whose ``parent`` has the id that is called so in the address.

    ``view`` is the viewset of the general way. ``annotations`` are those of ``school.api.printing.row_in_json``.
    """

    view: Any
    rows: QuerySet[Any]
    parent: tuple[str, str] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    statements: dict[tuple[bool, bool, int], Statement] = field(default_factory=dict)
    parents: Statement | None = None

    def answer(self, request: HttpRequest, arguments: Mapping[str, str]) -> HttpResponse | None:
        """Return a page; None for what goes the general way."""
        parent = parse_ids(arguments[self.parent[1]]) if self.parent else [0]
        page = self._page(request) if parent else None
        if page is None or not admit_reader(request, self.view.scope):
            return None
        rows = self._read(page, *parent)
        if not rows and not self._is_there(*parent):
            return None
        return self._told(request, page, rows)

    def _is_there(self, parent: int) -> bool:
        """Tell whether there is such a list, be it empty."""
        if self.parent is None:
            return True
        if self.parents is None:
            whose: Any = self.rows.model._meta.get_field(self.parent[0].removesuffix("_id"))
            rows = whose.related_model._base_manager.filter(pk=PARENT).values_list("pk")
            self.parents = compiled(compiler_of(rows))
        return bool(self.parents.run(parent))

    def _page(self, request: HttpRequest) -> Page | None:
        """Return the page that is asked for, None where more is asked than that, or it is not offered."""
        query = request.META.get("QUERY_STRING", "")
        if not query:
            return Page(PAGE_SIZE)
        asked = parse_qsl(query, keep_blank_values=True)
        values = dict(asked)
        is_sized = "page_size" in values
        size = read_size(values.pop("page_size", None))
        cursor = values.pop("cursor", None)
        if size is None or values or len(asked) != (cursor is not None) + is_sized:
            return None
        if cursor is None:
            return Page(size, is_sized)
        position = read_cursor(cursor, salt_of(self.view), ORDER)
        return None if position is None else Page(size, is_sized, *position)

    def _read(self, page: Page, parent: int) -> list[tuple[int, str]]:
        """Return ids and rows, at least one more than the page has if there are more."""
        most = limit_above(page.size)
        statement = self.statement_for(page.backwards, page.beside is not None, most)
        found: Any = statement.run(parent, page.beside and page.beside[1])
        return list(found)

    def statement_for(self, backwards: bool, is_beside: bool, most: int) -> Statement:
        """Return the statement of the pages that lie beside a row, or at an end, for ``most`` rows."""
        statement = self.statements.get((backwards, is_beside, most))
        if statement is None:
            rows = self.rows.filter(**{self.parent[0]: PARENT}) if self.parent else self.rows
            if is_beside:
                rows = rows.filter(**{"pk__lt" if backwards else "pk__gt": BESIDE})
            row = row_in_json(self.view.serializer_class(), self.annotations)
            rows = rows.order_by("-pk" if backwards else "pk").values_list("pk", row)[:most]
            statement = compiled(compiler_of(rows))
            self.statements[backwards, is_beside, most] = statement
        return statement

    def _told(self, request: HttpRequest, page: Page, rows: list[tuple[int, str]]) -> HttpResponse:
        more, rows = len(rows) > page.size, rows[: page.size]
        if page.backwards:
            rows.reverse()
        has_next = page.backwards or more
        has_previous = more if page.backwards else page.beside is not None
        results = ",".join([text for _pk, text in rows])
        headers = {"ETag": f"W/{tag_of_text(f'{has_next} {has_previous} {results}')}"}
        if len(self.view.renderer_classes) > 1:
            headers["Vary"] = "Accept"
        if is_known(request, headers["ETag"]):
            return HttpResponse(status=304, headers=headers)
        following = self._link(request, page, rows[-1][0], backwards=False) if rows and has_next else None
        previous = self._link(request, page, rows[0][0], backwards=True) if rows and has_previous else None
        return answer_with({"next": following, "previous": previous}, results, headers)

    def _link(self, request: HttpRequest, page: Page, pk: int, *, backwards: bool) -> str:
        """Return what ``link_to`` would, of an address that has no more in its query than these two."""
        cursor = cursor_beside(salt_of(self.view), ORDER, backwards, (str(pk), pk))
        size = f"&page_size={page.size}" if page.is_sized else ""
        return f"{request.scheme}://{request.get_host()}{request.path}?cursor={cursor}{size}"
