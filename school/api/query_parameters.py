"""
Checks the query parameters of a request.

Unknown parameters, and repeated parameters that take one value, are errors (400).
"""

from collections.abc import Collection
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _
from django_filters.filters import MultipleChoiceFilter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from school.api.csv_renderer import BOM_PARAMETER, CsvRenderer
from school.api.sparse_fields import SPARSE_PARAMETERS, SparseFieldsMixin


def repeated_error() -> ErrorDetail:
    """Return the error for a parameter that is given more than once, but takes one value."""
    return ErrorDetail(_("This parameter is given more than once. Give it once."), code="repeated_parameter")


def query_errors(
    query: QueryDict, known: Collection[str] | None, repeatable: Collection[str]
) -> dict[str, list[ErrorDetail]]:
    """
    Return the errors by parameter.

    A parameter that is not in ``known`` is an error (not if ``known`` is None), and so is a repeated parameter that
    takes one value.
    """
    errors = {}
    for name, values in query.lists():
        if known is not None and name not in known:
            errors[name] = [ErrorDetail(_("This filter does not exist."), code="unknown_filter")]
        elif len(values) > 1 and name not in repeatable:
            errors[name] = [repeated_error()]
    return errors


def filters_of(view: Any) -> dict[str, Any]:
    """Return the filters of a view's list by their names."""
    filterset_class = getattr(view, "filterset_class", None)
    return filterset_class.base_filters if filterset_class else {}


def list_parameter_names(view: Any) -> set[str]:
    """Return the names of all parameters that the list of a view accepts."""
    names = {"cursor", "page_size", *filters_of(view), *repeatable_parameters(view)}
    names |= {"search"} if getattr(view, "search_fields", None) else set()
    names |= {BOM_PARAMETER} if CsvRenderer in view.renderer_classes else set()
    return names | ({"ordering"} if getattr(view, "ordering_fields", None) else set())


def repeatable_parameters(view: Any) -> set[str]:
    """Return the names of the parameters that take several values, separated by commas or repeated."""
    names = {name for name, each in filters_of(view).items() if isinstance(each, MultipleChoiceFilter)}
    return names | (set(SPARSE_PARAMETERS) if isinstance(view, SparseFieldsMixin) else set())


class StrictQueryMixin:
    """
    A view that checks its query parameters.

    ``StrictFilterBackend`` checks those of a list, together with the filters. A write accepts the parameters of the
    list at the same URL, and ignores them.
    """

    def allowed_parameters(self) -> set[str] | None:
        """Return the parameters of the request's action; None if the view itself checks the query."""
        view: Any = self
        if getattr(view, "action", None) == "retrieve":
            return repeatable_parameters(view) & set(SPARSE_PARAMETERS)
        return list_parameter_names(view) if hasattr(view, "ordering_fields") else set()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        view: Any = super()
        view.initial(request, *args, **kwargs)
        handler = getattr(self, getattr(self, "action", None) or str(request.method).lower(), None)
        if not getattr(handler, "takes_idempotency_key", False):  # ``idempotent`` checks the query later, after the key
            self.check_query(request)

    def check_query(self, request: Request) -> None:
        """Raise ``ValidationError`` for parameters that the action does not accept, or accepts only once."""
        if not request.query_params or getattr(self, "action", None) == "list":
            return
        errors = query_errors(request.query_params, self.allowed_parameters(), repeatable_parameters(self))
        if errors:
            raise ValidationError(errors)
