"""
Lists of the admin: a chip for each active filter, default filters, short dates, totals, and a hint in an empty list.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateField, Model
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

ALL_ROWS = "rows"  # the parameter that switches the default filters off
NOTHING = mark_safe('<span class="desk-none">-</span>')  # in a cell without a value
COMPARISONS = ("exact", "in", "gte", "gt", "lte", "lt", "date", "isnull")


@dataclass(frozen=True, slots=True)
class FilterChip:
    """An active filter, and the query without it."""

    title: str
    value: str
    remove_url: str


def short_date(value: date | None) -> str:
    """Return a day or a time in the short format of the current language; "" for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return date_format(localtime(value), "SHORT_DATETIME_FORMAT")
    return date_format(value, "SHORT_DATE_FORMAT")


def badge(name: str, label: Any) -> SafeString:
    """Return a status as a badge. ``name`` selects its color."""
    return format_html('<span class="desk-badge {}">{}</span>', name, label)


def _short_date_column(field: Any) -> Callable[[Model], str]:
    """Return a list column that shows a date field in the short format, under the name of the field."""

    def column(row: Model) -> Any:
        return short_date(getattr(row, field.attname)) or NOTHING

    column.__name__ = field.name
    return admin.display(description=field.verbose_name, ordering=field.name)(column)


class ListPageChangeList(ChangeList):
    """The rows of a list, with the active filters as chips and the position of the page in the list."""

    def get_filters(self, request: HttpRequest) -> Any:
        filters: Any = super().get_filters(request)
        for spec in filters[0]:
            spec.empty_value_display = "-"  # a filter also writes this text into an attribute
        return filters

    @property
    def chips(self) -> list[FilterChip]:
        """The active filters: of the page, and of a link that has others, a day for example."""
        chips, handled = [], set()
        for spec in self.filter_specs:
            names = [name for name in spec.expected_parameters() if name in self.filter_params]
            chosen = next((each for each in spec.choices(self) if each.get("selected")), None) if names else None
            if chosen and str(chosen["display"]) != _("All"):
                handled.update(names)
                chips.append(FilterChip(capfirst(str(spec.title)), str(chosen["display"]), self._without(names)))
        for name, values in self.filter_params.items():
            if name not in handled:
                chips += self._chip(name, values)
        return chips

    def _chip(self, name: str, values: list[str]) -> Iterator[FilterChip]:
        path = [part for part in name.split("__") if part not in COMPARISONS]
        field: Any = None
        model = self.model
        try:
            for part in path:
                field = model._meta.get_field(part)
                model = field.related_model or model
        except FieldDoesNotExist:
            return
        if field is None:
            return
        labels = dict(getattr(field, "flatchoices", ()))
        texts = [text for value in values for text in value.split(",")]
        value = ", ".join(str(labels.get(text, _day(field, text))) for text in texts)
        pattern = {"gte": _("from %(value)s"), "lte": _("until %(value)s"), "lt": _("before %(value)s")}
        value = pattern.get(name.rpartition("__")[2], "%(value)s") % {"value": value}
        yield FilterChip(capfirst(str(getattr(field, "verbose_name", name))), value, self._without([name]))

    def _without(self, names: list[str]) -> str:
        url = self.get_query_string(remove=names)
        return self.all_url if url == "?" else url

    @property
    def all_url(self) -> str:
        """The query of the list without filters, also without the default ones."""
        return f"?{ALL_ROWS}=all" if self.has_default_filters else "?"

    has_default_filters = False

    @property
    def first_row(self) -> int:
        """The number of the first row of the page, counted from 1."""
        return 0 if not self.result_count else (self.page_num - 1) * self.list_per_page + 1 if self.multi_page else 1

    @property
    def last_row(self) -> int:
        return self.first_row + len(self.result_list) - 1 if self.result_count else 0


def _day(field: Any, text: str) -> str:
    """Return the value of a date field in a query as a day in the short format, any other value as it is."""
    try:
        return short_date(date.fromisoformat(text[:10])) if isinstance(field, DateField) else text
    except ValueError:
        return text


class ListPage(ModelAdmin):
    """
    Admin mixin for lists. ``DeskSite`` adds it to every registered admin.

    ``empty_hint`` says what to do if there are no rows yet.
    """

    list_before_template: Any = "school/filter_chips.html"
    empty_value_display: Any = NOTHING
    empty_hint: Any = ""

    def default_filters(self, request: HttpRequest) -> dict[str, Any]:
        """Return the filters of the list if it is opened without any."""
        return {}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        base = super().get_changelist(request, **kwargs)
        names: dict[str, Any] = {"has_default_filters": bool(self.default_filters(request))}
        bases = (ListPageChangeList,) if base is ChangeList else (ListPageChangeList, base)
        return type("ChangeList", bases, names)

    def get_list_display(self, request: HttpRequest) -> Any:
        dates = {field.name: field for field in self.model._meta.fields if isinstance(field, DateField)}
        display = super().get_list_display(request)
        links = self.get_list_display_links(request, display) or ()
        return [_short_date_column(dates[name]) if name in dates and name not in links else name for name in display]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """
        Show the list with the default filters, unless the query has filters or the parameter ``rows``.

        An action on selected rows finds each of them; one on all rows acts on those that the page has listed.
        """
        query = request.GET.copy()
        if ALL_ROWS in query:
            del query[ALL_ROWS]
        elif not query and (request.method != "POST" or request.POST.get("select_across") == "1"):
            query.update({name: str(value) for name, value in self.default_filters(request).items()})
        request.GET = query  # type: ignore[assignment]  # a copy of it
        return super().changelist_view(request, extra_context)
