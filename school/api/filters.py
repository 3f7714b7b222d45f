"""Filters, search and ordering that answer 400 to what they do not know, instead of ignoring it."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.forms import SelectMultiple
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from django_filters.utils import translate_validation
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.request import Request

from school.api.shape import PARAMETERS, Shaped
from school.search import MOST_CHARACTERS, MOST_WORDS, is_bounded
from school.validators import in_our_times


class StrictFilterBackend(filters.DjangoFilterBackend):
    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        filterset_class = self.get_filterset_class(view, queryset)
        filter_names = set(filterset_class.base_filters) if filterset_class else set()
        known = filter_names | {"cursor", "page_size"}
        known |= {"search"} if getattr(view, "search_fields", None) else set()
        known |= set(PARAMETERS) if isinstance(view, Shaped) else set()
        known |= {"ordering"} if getattr(view, "ordering_fields", None) else set()
        errors: dict[str, Any] = {}
        for name, value in request.query_params.items():
            if name not in known:
                errors[name] = [ErrorDetail(_("There is no such filter."), code="unknown_filter")]
            elif name in filter_names and not str(value).strip():
                errors[name] = [ErrorDetail(_("A filter needs a value."), code="blank")]
        filterset = self.get_filterset(request, queryset, view)
        if filterset is not None and not filterset.is_valid():
            errors = {**translate_validation(filterset.errors).detail, **errors}
        if errors:
            raise ValidationError(errors)
        return queryset if filterset is None else filterset.qs


class SearchBackend(SearchFilter):
    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        if not is_bounded(request.query_params.get("search", "")):
            message = _("Search for at most %(words)s words of %(characters)s characters together.")
            parts = {"words": MOST_WORDS, "characters": MOST_CHARACTERS}
            raise ValidationError({"search": [ErrorDetail(message % parts, code="max_length")]})
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        return parameters if getattr(view, "search_fields", None) else []


@extend_schema_field(bool)
class TrueOrFalse(filters.TypedChoiceFilter):
    """``true`` or ``false``; django-filter's own takes anything else for no filter at all."""

    def __init__(self) -> None:
        super().__init__(choices=[("true", "true"), ("false", "false")], coerce="true".__eq__)


class InstantField(IsoDateTimeField):
    """An instant, in UTC whatever it was given in: PostgreSQL takes no offset of 16 hours and more."""

    def clean(self, value: Any) -> datetime | None:
        instant: datetime | None = super().clean(value)
        return instant and instant.astimezone(UTC)


class UpdatedSince(filters.IsoDateTimeFilter):
    """Rows that were changed at this instant or later."""

    field_class = InstantField

    def __init__(self, field_name: str) -> None:
        help_text = _lazy("Changed at this instant or later.")
        super().__init__(field_name, "gte", validators=[in_our_times], help_text=help_text)


class ChangedSince(UpdatedSince):
    """The same for rows that do not know when they were changed: their history does."""

    def __init__(self) -> None:
        super().__init__("pk")

    def filter(self, qs: Any, value: Any) -> QuerySet[Any]:
        return qs.filter(pk__in=qs.model.history.filter(history_date__gte=value).values("id")) if value else qs


class OrderingBackend(OrderingFilter):
    """``ordering`` takes one of the view's ``ordering_fields``, with ``-`` for the reverse."""

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        names = [sign + name for name in getattr(view, "ordering_fields", None) or () for sign in ("", "-")]
        if not names:
            return []
        schema = {"type": "string", "enum": names, "default": view.ordering}
        return [{"name": "ordering", "in": "query", "required": False, "schema": schema, "description": "The order."}]

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Leave the order to the page, whose cursor depends on it."""
        return queryset


def chosen_order(request: Request, view: Any) -> str:
    """Return the order that the request asks for, the view's own by default; raise ``ValidationError``."""
    asked = request.query_params.get("ordering")
    if asked is None:
        # Who asks for what has changed reads on by it, and so does the index.
        by_change = "updated_since" in request.query_params and "updated_at" in view.ordering_fields
        return "updated_at" if by_change else str(view.ordering)
    if asked.removeprefix("-") not in view.ordering_fields:
        message = _("Order by one of: %(names)s.") % {"names": ", ".join(view.ordering_fields)}
        raise ValidationError({"ordering": [ErrorDetail(message, code="invalid_choice")]})
    return asked


class CommaSeparated(SelectMultiple):
    """Several values as ``?status=a,b`` or ``?status=a&status=b``."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str] | None:
        if name not in data:
            return None
        return [value.strip() for text in data.getlist(name) for value in text.split(",")]
