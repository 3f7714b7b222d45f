"""
Reads of the API: pages and single rows that the database renders as JSON, with ETags and 304.

The statements are compiled once for each shape and cached; the values of a request are their parameters.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from school.access.row_scope import LimitParameters
from school.api.etags import is_known, tag_of_results, tag_of_text
from school.api.filters import Condition, ValueOf, apply_conditions, conditions_in
from school.api.pagination import Page
from school.api.permissions import limits_of
from school.api.row_json import JsonText, RowTemplate, row_template
from school.db.compiled_queries import ON_POSTGRESQL, Parameter, Statement, StatementCache, compiled
from school.refusals import Refusal, Refused


class Row(NamedTuple):
    """A row: its id, the value that orders it if the cursor of the page holds one, and its JSON."""

    pk: int
    value: Any
    texts: list[str]

    @property
    def text(self) -> str:
        return self.texts[-1]


class Query:
    """A query for rows as JSON, rendered by each of the templates. ``order`` is an expression that is also selected."""

    statement: Statement

    def __init__(self, rows: QuerySet[Any], limit: int, *templates: RowTemplate | None, order: Any = None) -> None:
        self.templates = templates
        self.has_order = order is not None
        columns = [each for template in templates if template for each in template.expressions]
        self.rows = rows.values_list("pk", *([order] if self.has_order else []), *columns)[:limit]

    def read(self, view: Any, found: Sequence[Sequence[Any]]) -> list[Row]:
        """Return the rows for the columns that the database has found."""
        first = 1 + self.has_order
        if self.templates == (None,):
            return self._by_serializer(view, found)
        rows = []
        for columns in found:
            texts, place = [], first
            for template in self.templates:
                assert template is not None
                end = place + len(template.expressions)
                texts.append(template.write(view.request, columns[place:end]))
                place = end
            rows.append(Row(columns[0], str(columns[1]) if self.has_order else None, texts))
        return rows

    def _by_serializer(self, view: Any, found: Sequence[Sequence[Any]]) -> list[Row]:
        """Return rows that the database cannot render, rendered by their serializer."""
        rows = view.get_queryset().in_bulk([columns[0] for columns in found])
        texts = [JSONRenderer().render(view.get_serializer(rows[columns[0]]).data).decode() for columns in found]
        values = [str(columns[1]) if self.has_order else None for columns in found]
        return [Row(columns[0], value, [text]) for columns, value, text in zip(found, values, texts, strict=True)]


Rows = list[Row]
Build = Callable[[Any, ValueOf], Query]


class ConditionalReads:
    """
    List and retrieve actions of a viewset, each with an ETag, and 304 for a client that has the current version.

    The database renders the rows as JSON (``school.api.row_json``) by statements that are compiled once for each shape:
    the filters that are used, the order and the fields. Values are parameters. A view that overrides ``kept_shape`` has
    its statements cached: its ``get_queryset`` must depend on nothing in the request except ``limits`` and
    ``parameter``.
    """

    limits: Any
    is_compiling = False
    wanted: frozenset[str] = frozenset()
    expanded: frozenset[str] = frozenset()

    def kept_shape(self) -> Hashable:
        """Return a key for this view's queries, beside limits and filters; None to compile each query anew."""
        return None

    def parameter_values(self) -> dict[str, Any]:
        """Return the values of this request for the parameters of ``get_queryset``."""
        return {}

    def parameter(self, name: str) -> Any:
        """Return a value for ``get_queryset``; while a query is compiled, the ``Parameter`` in its place."""
        return Parameter(name) if self.is_compiling else self.parameter_values()[name]

    def refuse_missing(self) -> None:
        """Raise ``Refused`` or ``Http404`` if the object that the rows of an empty list belong to does not exist."""

    def row_lookups(self) -> dict[str, Any]:
        """Return the ids that identify the row in the URL; raise ``Refused`` or ``Http404``."""
        view: Any = self
        return {"pk": view.kwargs["pk"]}

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        view: Any = self
        found = self._read_row(self.row_lookups())
        if found is None:
            found = self._read_row({"pk": view.get_object().pk})  # raises the error that says why it is missing
        tag, text = found or ("", "")
        if is_known(request, tag):
            return Response(status=304, headers={"ETag": tag})
        return Response(JsonText(text), headers={"ETag": tag})

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        view: Any = self
        conditions = conditions_in(request, view)
        page: Page = view.paginator.page_in(request, view)
        rows = self._read_page(conditions, page)
        if not rows:
            self.refuse_missing()
        has_next, has_previous = page.ends(more=len(rows) > page.size)
        rows = rows[: page.size]
        results = ",".join([row.text for row in rows])
        tag = tag_of_results(results, has_next, has_previous)
        if is_known(request, tag):
            return Response(status=304, headers={"ETag": tag})
        return Response(view.paginator.written(page, rows, results, has_next, has_previous), headers={"ETag": tag})

    def tag_of(self, row: Any) -> str:
        """Return the current ETag of a row, the same that a read of the whole row returns."""
        return self.tag_and_text({"pk": row.pk})[0]

    def tag_and_text(self, lookups: Mapping[str, Any]) -> tuple[str, str]:
        """Return the ETag and the JSON of a row that exists."""
        found = self._read_row(lookups)
        assert found is not None
        return found

    def _read_row(self, lookups: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the ETag of a row (from all its fields) and the JSON of the requested fields; None without a row."""
        view: Any = self
        wanted, expanded = view.wanted, view.expanded
        shape = ("row", *lookups, expanded, wanted)

        def build(builder: Any, value_of: ValueOf) -> Query:
            rows = builder.get_queryset().filter(**{name: value_of(name) for name in lookups}).order_by("-pk")
            builder.wanted = frozenset()
            templates = [builder.template()]
            if wanted:
                builder.wanted = wanted
                templates.append(builder.template())
            return Query(rows, 1, *templates)

        rows = self._run(shape, build, lookups)
        if not rows:
            return None
        texts = rows[0].texts
        return tag_of_text(texts[0]), texts[-1]

    def _read_page(self, conditions: Sequence[Condition], page: Page) -> Rows:
        """Return the rows of a page in their order, and one more than its size if more rows follow."""
        view: Any = self
        wanted, expanded = view.wanted, view.expanded
        values = {each.name: each.value for each in conditions if each.value is not None}
        if page.cursor is not None:
            values |= {"cursor id": page.cursor.pk, "cursor value": self._value_beside(page)}
        shape = ("page", tuple((each.name, each.shape) for each in conditions), page.shape, expanded, wanted)

        def build(builder: Any, value_of: ValueOf) -> Query:
            rows = page.rows_of(apply_conditions(builder.get_queryset(), conditions, builder, value_of), value_of)
            if not ON_POSTGRESQL and (conditions or page.field != "id" or view.limits is not None):
                # SQLite renders each row that it sorts: sort only ids, then render the rows of the page.
                rows = page.ordered(builder.get_queryset().filter(pk__in=rows.values("pk")[: page.limit]))
            return Query(rows, page.limit, builder.template(), order=page.kept_value)

        rows = self._run(shape, build, values, is_planned_anew=any(each.is_planned_anew for each in conditions))
        return [*rows[: page.size][::-1], *rows[page.size :]] if page.backwards else rows

    def _value_beside(self, page: Page) -> Any:
        """
        Return the value that orders the row beside a page; raise ``Refused`` if that row does not exist any more.

        The row is searched for among all rows that the caller may see, without the filters: a row that no longer
        matches a filter still has its position in the order.
        """
        assert page.cursor is not None
        if page.field == "id" or page.keeps_value:
            return page.cursor.value

        def build(builder: Any, value_of: ValueOf) -> Query:
            rows = builder.get_queryset().filter(pk=value_of("pk")).order_by()
            return Query(rows, 1, order=F(page.field))

        for row in self._run(("value", page.field), build, {"pk": page.cursor.pk}):
            return row.value
        message = _("The row that this cursor refers to is no longer in this list. Start without a cursor.")
        raise Refused([Refusal("cursor_expired", message, _("Cursor has expired"))])

    def template(self) -> RowTemplate | None:
        """Return the template of the requested rows; None if a row must be rendered by its serializer."""
        view: Any = self
        try:
            return row_template(view.get_serializer(), is_limited=self._hides())
        except TypeError:
            return None

    def _hides(self) -> bool:
        """Return True if the caller is a limited client: some texts may name objects that it does not see."""
        view: Any = self
        limits = limits_of(view.request)
        return limits is not None and limits.is_client

    def _run(
        self, shape: tuple[Any, ...], build: Build, values: Mapping[str, Any], *, is_planned_anew: bool = False
    ) -> Rows:
        """Run a query and return its rows; compile it first if no query of this shape is cached."""
        view: Any = self
        limits = limits_of(view.request)
        kept = self.kept_shape()
        if kept is None:
            query = build(copy(view), lambda name, field=None: values[name])
            return query.read(view, list(query.rows))
        whole = (type(view), kept, limits is not None, self._hides(), shape)
        given = {**self.parameter_values(), **values, **(LimitParameters.values_of(limits) if limits else {})}
        query = _statements.get(whole, lambda: self._compiled(build, is_limited=limits is not None))
        return query.read(view, query.statement.run(given, is_planned_anew=is_planned_anew or limits is not None))

    def _compiled(self, build: Build, *, is_limited: bool) -> Query:
        builder: Any = copy(self)
        builder.is_compiling = True
        builder.limits = LimitParameters if is_limited else None
        query = build(builder, Parameter)
        query.statement = compiled(query.rows)
        return query


_statements = StatementCache()
