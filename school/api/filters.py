"""Filters, search and ordering that answer 400 to unknown parameters and values instead of ignoring them."""

from collections.abc import Callable, Hashable, Sequence
from functools import reduce
from operator import or_
from typing import Any, NamedTuple, Protocol

from django.core.exceptions import ValidationError as FormError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.forms import Field, SelectMultiple
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.request import Request

from school.api.date_and_number_parsing import INSTANT_PATTERN, parse_day, parse_instant, parse_whole_number
from school.api.query_parameters import filters_of, list_parameter_names, query_errors, repeatable_parameters
from school.db.compiled_queries import Statement
from school.http.search_limits import MAX_CHARACTERS, MAX_WORDS, is_within_limits
from school.text_normalization import normalized
from school.validators import MAX_COUNT, in_our_times


class GetValue(Protocol):
    """
    A function that returns the value of a condition by its name.

    While a query is compiled, it returns a ``QueryParameter`` instead.
    """

    def __call__(self, name: str, field: Any = None) -> Any: ...


class PageCompiler(Protocol):
    """Compiles the statement of a page for a filter that replaces the table of the list by another one."""

    def prepare(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the queryset of the list as it is to be rendered."""

    def compile(self, page: QuerySet[Any], rows: QuerySet[Any]) -> Statement:
        """Return the statement: ``page`` has the rows of the page, with the filters, and ``rows`` what is rendered."""


class FilterCondition(NamedTuple):
    """
    A filter that a request uses, with its value, which becomes a parameter of the compiled query.

    ``shape`` is the part of the filter that changes the SQL. ``is_id`` is True if the value is the id that a key was
    resolved to. With ``plan_each_run`` the database plans the query for each value: one value may match few rows and
    another many, and one plan is not good for both. ``page_compiler`` compiles the statement of a page instead of a
    condition; the statement takes the value as the parameter ``name``.
    """

    name: str
    shape: Hashable
    value: Any
    is_id: bool = False
    plan_each_run: bool = False
    page_compiler: PageCompiler | None = None


SEARCH_PARAMETER = "search"
# These filters have few values. A query is compiled for each value, so that its SQL can use partial indexes.
CHOICE_FILTERS = (filters.ChoiceFilter, filters.TypedChoiceFilter, filters.MultipleChoiceFilter)


def parse_conditions(request: Request, view: Any) -> list[FilterCondition]:
    """Return the conditions in the query string of a list; raise ``ValidationError`` with all errors."""
    query = request.query_params
    if not query:
        return []
    known = filters_of(view)
    cleaned, errors = [], {}
    for name, each in known.items():
        if name not in query:
            continue
        try:
            value = each.field.clean(each.field.widget.value_from_datadict(query, {}, name))
        except FormError as error:
            errors[name] = [ErrorDetail(one.message % (one.params or ()), code=one.code) for one in error.error_list]
        else:
            cleaned.append((name, each, value))
    unknown = query_errors(query, list_parameter_names(view), repeatable_parameters(view))
    for name, text in query.items():
        if name in unknown:
            errors[name] = unknown[name]
        elif name in known and not str(text).strip():
            errors[name] = [ErrorDetail(_("A filter needs a value."), code="blank")]
    if errors:
        raise ValidationError(errors)
    conditions = [_condition(name, each, value, request) for name, each, value in cleaned]
    terms = SearchBackend().terms(request, view)
    for position, term in enumerate(terms):
        conditions.append(FilterCondition(f"{SEARCH_PARAMETER} {position}", None, term))
    return conditions


def _condition(name: str, each: Any, value: Any, request: Request) -> FilterCondition:
    if hasattr(each, "page_compiler"):
        return FilterCondition(name, None, each.instant_of(value, request), page_compiler=each.page_compiler)
    if hasattr(each, "id_of"):
        return FilterCondition(name, None, each.id_of(value, request), is_id=True)
    if isinstance(each, CHOICE_FILTERS):
        return FilterCondition(name, tuple(sorted(set(value))) if isinstance(value, list) else value, None)
    return FilterCondition(name, None, value, plan_each_run=isinstance(each, HistoryUpdatedSinceFilter))


def apply_conditions(
    rows: QuerySet[Any], conditions: Sequence[FilterCondition], view: Any, get_value: GetValue
) -> QuerySet[Any]:
    """Return the rows that meet the conditions. A filter without a condition is applied with its default value."""
    by_name = {each.name: each for each in conditions}
    for name, each in filters_of(view).items():
        condition = by_name.get(name)
        if condition is None:
            rows = each.filter(rows, each.field.clean(each.field.widget.value_from_datadict(EMPTY_QUERY, {}, name)))
        elif condition.value is None:
            rows = each.filter(rows, list(condition.shape) if isinstance(condition.shape, tuple) else condition.shape)
        elif condition.page_compiler is None:
            column = None
            if not condition.is_id:
                column = (
                    each.column(rows.model) if hasattr(each, "column") else field_at_path(rows.model, each.field_name)
                )
            rows = each.filter(rows, get_value(name, column))
    for name in by_name:
        if name.startswith(f"{SEARCH_PARAMETER} "):
            pattern = get_value(name)
            rows = rows.filter(reduce(or_, (Q(**{f"{field}__matches": pattern}) for field in view.search_fields)))
    return rows


def field_at_path(model: Any, path: str) -> Any:
    """Return the model field at a path of names."""
    for name in path.split("__"):
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
        model = field.related_model
    return field


EMPTY_QUERY = QueryDict()


class StrictFilterBackend(filters.DjangoFilterBackend):
    """Filters by the query string. ``ConditionalReadMixin`` applies the same conditions in queries compiled once."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        conditions = parse_conditions(request, view)
        values = {each.name: each.value for each in conditions}
        return apply_conditions(queryset, conditions, view, lambda name, field=None: values[name])


class SearchBackend(SearchFilter):
    """
    Searches for words.

    This class filters no rows itself: ``StrictFilterBackend`` applies the words like all other conditions.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        return queryset

    def terms(self, request: Request, view: Any) -> list[str]:
        """Return the LIKE patterns of the search words; raise ``ValidationError`` if there are too many."""
        if SEARCH_PARAMETER not in request.query_params or not getattr(view, "search_fields", None):
            return []
        if not is_within_limits(request.query_params[SEARCH_PARAMETER]):
            message = _("Search for at most %(words)s words of %(characters)s characters together.")
            parts = {"words": MAX_WORDS, "characters": MAX_CHARACTERS}
            raise ValidationError({SEARCH_PARAMETER: [ErrorDetail(message % parts, code="max_length")]})
        escaped = connection.ops.prep_for_like_query
        return [f"%{escaped(normalized(term))}%" for term in self.get_search_terms(request)]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        return parameters if getattr(view, "search_fields", None) else []


@extend_schema_field(bool)
class StrictBooleanFilter(filters.TypedChoiceFilter):
    """
    A filter whose value is ``true`` or ``false``.

    Any other value is an error; django-filter's own boolean filter would ignore it.
    """

    def __init__(self) -> None:
        super().__init__(choices=[("true", "true"), ("false", "false")], coerce="true".__eq__)


class _ParsedField(Field):
    """A form field whose text is parsed by a function of ``school.api.date_and_number_parsing``."""

    parse: Callable[[str], Any]

    def to_python(self, value: Any) -> Any:
        return None if value in self.empty_values else type(self).parse(value)


class DayField(_ParsedField):
    parse = staticmethod(parse_day)


class InstantField(_ParsedField):
    """A form field for an instant, converted to UTC, because PostgreSQL rejects offsets of 16 hours or more."""

    parse = staticmethod(parse_instant)


class WholeNumberField(_ParsedField):
    parse = staticmethod(parse_whole_number)


class TextFilter(filters.CharFilter):
    """A filter whose text is compared exactly as it was sent, including blanks at its ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, strip=False, **options)


class DayFilter(filters.DateFilter):
    field_class = DayField


class CountFilter(filters.NumberFilter):
    """A filter by a whole number, which must not exceed the largest integer of the database."""

    field_class = WholeNumberField

    def __init__(self) -> None:
        super().__init__(validators=[MinValueValidator(0)])

    def get_max_validator(self) -> Any:
        return MaxValueValidator(MAX_COUNT)


class StrictFilterSet(filters.FilterSet):
    """Base class of all filtersets. A filter generated from a text field keeps blanks at the ends of its value."""

    FILTER_DEFAULTS = {
        **filters.FilterSet.FILTER_DEFAULTS,
        models.CharField: {"filter_class": TextFilter},
    }


UPDATED_SINCE_HELP = _lazy("Changed at or after this date and time.")


@extend_schema_field(
    {"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN, "description": UPDATED_SINCE_HELP}
)
class UpdatedSinceFilter(filters.IsoDateTimeFilter):
    """Selects rows that were changed at this instant or later."""

    field_class = InstantField

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name, "gte", validators=[in_our_times], help_text=UPDATED_SINCE_HELP)


class HistoryUpdatedSinceFilter(UpdatedSinceFilter):
    """
    Selects rows that were changed at this instant or later, for models that do not store this time: it is taken from
    their history.
    """

    def __init__(self) -> None:
        super().__init__("pk")

    def column(self, model: Any) -> Any:
        """Return the model field that the value of the filter is compared with."""
        return model.history.model._meta.get_field("history_date")

    def filter(self, qs: Any, value: Any) -> QuerySet[Any]:
        return qs.filter(pk__in=qs.model.history.filter(history_date__gte=value).values("id")) if value else qs


class OrderingBackend(OrderingFilter):
    """Documents ``ordering``, which takes one of the view's ``ordering_fields``, with ``-`` for descending order."""

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        names = [sign + name for name in getattr(view, "ordering_fields", None) or () for sign in ("", "-")]
        if not names:
            return []
        text = f"The order; `{view.ordering}` unless `updated_since` is given."
        if "updated_at" not in view.ordering_fields:
            text = f"The order; `{view.ordering}` by default."
        schema = {"type": "string", "enum": names}
        return [{"name": "ordering", "in": "query", "required": False, "schema": schema, "description": text}]

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return the rows unordered: ``PageRequest`` orders them, because its cursor depends on the order."""
        return queryset


def parse_ordering(request: Request, view: Any) -> str:
    """Return the order that the request asks for, or the view's default; raise ``ValidationError``."""
    ordering = request.query_params.get("ordering")
    if ordering is None:
        # With ``updated_since``, order by the time of the last change: the client can continue from the last row, and
        # an index has this order.
        by_change = "updated_since" in request.query_params and "updated_at" in view.ordering_fields
        return "updated_at" if by_change else str(view.ordering)
    if ordering.removeprefix("-") not in view.ordering_fields:
        message = _("Order by one of: %(names)s.") % {"names": ", ".join(view.ordering_fields)}
        raise ValidationError({"ordering": [ErrorDetail(message, code="invalid_choice")]})
    return ordering


class CommaSeparatedWidget(SelectMultiple):
    """A widget for several values, written as ``?status=a,b`` or ``?status=a&status=b``."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str] | None:
        if name not in data:
            return None
        return [value for text in data.getlist(name) for value in text.split(",")]
