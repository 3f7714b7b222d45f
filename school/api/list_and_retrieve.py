"""
The actions list and retrieve of the API: the database renders the rows as JSON, with ETags and 304.

The statements are compiled once for each shape and cached; the values of a request are their parameters.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from school.access.row_scope import RowScopeParameters
from school.api.etags import etag_of_page, etag_of_text, matches_if_none_match
from school.api.filters import FilterCondition, GetValue, apply_conditions, parse_conditions
from school.api.pagination import PageRequest
from school.api.permissions import row_scope_of
from school.api.row_json import RowTemplate, json_response, row_template
from school.db.compiled_queries import ON_POSTGRESQL, QueryParameter, Statement, StatementCache, compile_statement
from school.refusals import Refusal, Refused


class RenderedRow(NamedTuple):
    """A row: its id, the value that orders it if the cursor of the page holds one, and its JSON."""

    pk: int
    value: Any
    texts: list[str]

    @property
    def text(self) -> str:
        return self.texts[-1]


class RowQuery:
    """
    A query for rows as JSON, rendered by each of the templates. ``order`` is an additional expression to select.

    ``compile`` makes the statement of the query.
    """

    statement: Statement
    compile: Callable[[QuerySet[Any]], Statement] = staticmethod(compile_statement)

    def __init__(self, rows: QuerySet[Any], limit: int, *templates: RowTemplate | None, order: Any = None) -> None:
        self.templates = templates
        self.has_order = order is not None
        columns = [each for template in templates if template for each in template.expressions]
        self.rows = rows.values_list("pk", *([order] if self.has_order else []), *columns)[:limit]

    def render_rows(self, view: Any, columns_of_rows: Sequence[Sequence[Any]]) -> list[RenderedRow]:
        """Return the rows for the columns that the database has found."""
        first = 1 + self.has_order
        if self.templates == (None,):
            return self._render_by_serializer(view, columns_of_rows)
        rows = []
        for columns in columns_of_rows:
            texts, position = [], first
            for template in self.templates:
                assert template is not None
                end = position + len(template.expressions)
                texts.append(template.render(view.request, columns[position:end]))
                position = end
            rows.append(RenderedRow(columns[0], str(columns[1]) if self.has_order else None, texts))
        return rows

    def _render_by_serializer(self, view: Any, columns_of_rows: Sequence[Sequence[Any]]) -> list[RenderedRow]:
        """Return rows that the database cannot render, rendered by their serializer."""
        rows = view.get_queryset().in_bulk([columns[0] for columns in columns_of_rows])
        texts = [
            JSONRenderer().render(view.get_serializer(rows[columns[0]]).data).decode() for columns in columns_of_rows
        ]
        values = [str(columns[1]) if self.has_order else None for columns in columns_of_rows]
        return [
            RenderedRow(columns[0], value, [text])
            for columns, value, text in zip(columns_of_rows, values, texts, strict=True)
        ]


RenderedRows = list[RenderedRow]
QueryBuilder = Callable[[Any, GetValue], RowQuery]


class ConditionalReadMixin:
    """
    List and retrieve actions of a viewset, each with an ETag, and 304 for a client that has the current version.

    The database renders the rows as JSON (``school.api.row_json``) by statements that are compiled once for each shape:
    the filters that are used, the order and the fields. Values are parameters. A view that overrides
    ``query_cache_key`` has its statements cached: its ``get_queryset`` must depend on nothing in the request except
    ``row_scope`` and ``parameter``.
    """

    row_scope: Any
    is_compiling = False
    requested_fields: frozenset[str] = frozenset()
    expanded_fields: frozenset[str] = frozenset()

    def query_cache_key(self) -> Hashable:
        """
        Return the key of this view's queries in the cache, in addition to the row scope and the filters.

        With None, each query is compiled again.
        """
        return None

    def parameter_values(self) -> dict[str, Any]:
        """Return the values of this request for the parameters of ``get_queryset``."""
        return {}

    def parameter(self, name: str) -> Any:
        """Return a value for ``get_queryset``; while a query is compiled, the ``QueryParameter`` in its place."""
        return QueryParameter(name) if self.is_compiling else self.parameter_values()[name]

    def check_parent_exists(self) -> None:
        """Raise ``Refused`` or ``Http404`` if the object that the rows of an empty list belong to does not exist."""

    def row_lookups(self) -> dict[str, Any]:
        """Return the ids that identify the row in the URL; raise ``Refused`` or ``Http404``."""
        view: Any = self
        return {"pk": view.kwargs["pk"]}

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        view: Any = self
        etag_and_text = self._read_row(self.row_lookups())
        if etag_and_text is None:
            # Raises an error with the reason why the row is missing.
            etag_and_text = self._read_row({"pk": view.get_object().pk})
        etag, text = etag_and_text or ("", "")
        if matches_if_none_match(request, etag):
            return Response(status=304, headers={"ETag": etag})
        return json_response(text, headers={"ETag": etag})

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        view: Any = self
        conditions = parse_conditions(request, view)
        page: PageRequest = view.paginator.parse_page(request, view)
        rows = self._read_page(conditions, page)
        if not rows:
            self.check_parent_exists()
        has_next, has_previous = page.has_next_and_previous(more=len(rows) > page.size)
        rows = rows[: page.size]
        results = ",".join([row.text for row in rows])
        etag = etag_of_page(results, has_next, has_previous)
        if matches_if_none_match(request, etag):
            return Response(status=304, headers={"ETag": etag})
        return json_response(
            view.paginator.render_page(page, rows, results, has_next, has_previous), headers={"ETag": etag}
        )

    def etag_of(self, row: Any) -> str:
        """Return the current ETag of a row: the ETag that a read of the whole row returns."""
        return self.etag_and_json({"pk": row.pk})[0]

    def etag_and_json(self, lookups: Mapping[str, Any]) -> tuple[str, str]:
        """Return the ETag and the JSON of a row that exists."""
        etag_and_text = self._read_row(lookups)
        assert etag_and_text is not None
        return etag_and_text

    def _read_row(self, lookups: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the ETag of a row (from all its fields) and the JSON of the requested fields; None without a row."""
        view: Any = self
        requested_fields, expanded_fields = view.requested_fields, view.expanded_fields
        shape = ("row", *lookups, expanded_fields, requested_fields)

        def build(builder: Any, get_value: GetValue) -> RowQuery:
            rows = builder.get_queryset().filter(**{name: get_value(name) for name in lookups}).order_by("-pk")
            builder.requested_fields = frozenset()
            templates = [builder.template()]
            if requested_fields:
                builder.requested_fields = requested_fields
                templates.append(builder.template())
            return RowQuery(rows, 1, *templates)

        rows = self._run_cached(shape, build, lookups)
        if not rows:
            return None
        texts = rows[0].texts
        return etag_of_text(texts[0]), texts[-1]

    def _read_page(self, conditions: Sequence[FilterCondition], page: PageRequest) -> RenderedRows:
        """Return the rows of a page in their order, and one more than its size if more rows follow."""
        view: Any = self
        requested_fields, expanded_fields = view.requested_fields, view.expanded_fields
        values = {each.name: each.value for each in conditions if each.value is not None}
        if page.cursor is not None:
            values |= {"cursor id": page.cursor.pk, "cursor value": self._cursor_value(page)}
        shape = (
            "page",
            tuple((each.name, each.shape) for each in conditions),
            page.cache_key,
            expanded_fields,
            requested_fields,
        )

        page_compiler = next((each.page_compiler for each in conditions if each.page_compiler), None)

        def build(builder: Any, get_value: GetValue) -> RowQuery:
            rows = page.filter_page(apply_conditions(builder.get_queryset(), conditions, builder, get_value), get_value)
            if page_compiler is not None:
                rendered = page.order_rows(page_compiler.prepare(builder.get_queryset()))
                query = RowQuery(rendered, page.limit, builder.template(), order=page.cursor_expression)
                query.compile = partial(page_compiler.compile, rows[: page.limit])
                return query
            if not ON_POSTGRESQL and (conditions or page.field != "id" or view.row_scope is not None):
                # SQLite renders each row that it sorts: sort only ids, then render the rows of the page.
                rows = page.order_rows(builder.get_queryset().filter(pk__in=rows.values("pk")[: page.limit]))
            return RowQuery(rows, page.limit, builder.template(), order=page.cursor_expression)

        rows = self._run_cached(
            shape,
            build,
            values,
            plan_each_run=any(each.plan_each_run for each in conditions),
        )
        return [*rows[: page.size][::-1], *rows[page.size :]] if page.backwards else rows

    def _cursor_value(self, page: PageRequest) -> Any:
        """
        Return the value that orders the row beside a page; raise ``Refused`` if that row does not exist any more.

        The row is searched for among all rows that the caller may see, without the filters: a row that no longer
        matches a filter still has its position in the order.
        """
        assert page.cursor is not None
        if page.field == "id" or page.cursor_has_value:
            return page.cursor.value

        def build(builder: Any, get_value: GetValue) -> RowQuery:
            rows = builder.get_queryset().filter(pk=get_value("pk")).order_by()
            return RowQuery(rows, 1, order=F(page.field))

        for row in self._run_cached(("value", page.field), build, {"pk": page.cursor.pk}):
            return row.value
        message = _("The row that this cursor refers to is no longer in this list. Start without a cursor.")
        raise Refused([Refusal("cursor_expired", message, _("Cursor has expired"))])

    def template(self) -> RowTemplate | None:
        """Return the template of the requested rows; None if a row must be rendered by its serializer."""
        view: Any = self
        try:
            return row_template(view.get_serializer(), is_limited=self._is_limited_client())
        except TypeError:
            return None

    def _is_limited_client(self) -> bool:
        """Return True if the caller is a limited client: some texts may name objects that it does not see."""
        view: Any = self
        row_scope = row_scope_of(view.request)
        return row_scope is not None and row_scope.is_client

    def _run_cached(
        self,
        shape: tuple[Any, ...],
        build: QueryBuilder,
        values: Mapping[str, Any],
        *,
        plan_each_run: bool = False,
    ) -> RenderedRows:
        """Run a query and return its rows; compile it first if no query of this shape is cached."""
        view: Any = self
        row_scope = row_scope_of(view.request)
        view_key = self.query_cache_key()
        if view_key is None:
            query = build(copy(view), lambda name, field=None: values[name])
            return query.render_rows(view, list(query.rows))
        cache_key = (type(view), view_key, row_scope is not None, self._is_limited_client(), shape)
        parameters = {
            **self.parameter_values(),
            **values,
            **(RowScopeParameters.values_of(row_scope) if row_scope else {}),
        }
        query = _statements.get(cache_key, lambda: self._compile(build, is_limited=row_scope is not None))
        return query.render_rows(
            view, query.statement.run(parameters, plan_each_run=plan_each_run or row_scope is not None)
        )

    def _compile(self, build: QueryBuilder, *, is_limited: bool) -> RowQuery:
        builder: Any = copy(self)
        builder.is_compiling = True
        builder.row_scope = RowScopeParameters if is_limited else None
        query = build(builder, QueryParameter)
        query.statement = query.compile(query.rows)
        return query


_statements = StatementCache()
