"""The parameters ``fields``, for fewer fields of a response, and ``expand``, for related objects in full."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from school.api.permissions import MissingPermission, is_permitted

SPARSE_PARAMETERS = ("fields", "expand")


class SparseFieldsMixin:
    """
    A viewset whose reads accept ``fields`` and ``expand``.

    ``expandable`` maps the name of each related object to its serializer, and to the scope and the permission that are
    required to read that object.
    """

    expandable: dict[str, tuple[Any, str, str]] = {}
    requested_fields: frozenset[str] = frozenset()
    expanded_fields: frozenset[str] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        view: Any = super()
        view.initial(request, *args, **kwargs)
        if request.method in SAFE_METHODS:
            self.requested_fields = _parse_names(request, "fields", self.field_names)
            self.expanded_fields = _parse_names(request, "expand", lambda: list(self.expandable))
        for name in self.expanded_fields:
            _serializer, scope, permission = self.expandable[name]
            if not is_permitted(request, scope, permission):
                raise MissingPermission(request, scope, [permission])

    def field_names(self) -> list[str]:
        view: Any = self
        return _field_names(view.get_serializer_class())

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        view: Any = super()
        serializer = view.get_serializer(*args, **kwargs)
        item_serializer = getattr(serializer, "child", serializer)
        for name in self.expanded_fields:
            item_serializer.fields[name] = self.expandable[name][0](read_only=True)
        for name in set(item_serializer.fields) - self.requested_fields if self.requested_fields else ():
            del item_serializer.fields[name]
        return serializer

    def openapi_parameters(self) -> list[OpenApiParameter]:
        """Return the parameters for the OpenAPI document."""
        names = self.field_names()
        parameters = [_parameter("fields", names, _("Return only these fields, separated by commas."))]
        if self.expandable:
            expandable = list(self.expandable)
            text = _("Return these objects in full, separated by commas. Requires the scope to read them.")
            parameters.append(_parameter("expand", expandable, text))
        return parameters


@cache
def _field_names(serializer_class: Any) -> list[str]:
    """Return the names of a serializer's fields. They are cached, because building the fields is slow."""
    return list(serializer_class().fields)


def _parse_names(request: Request, parameter: str, known_names: Callable[[], list[str]]) -> frozenset[str]:
    """Return the names in a parameter, an empty set without the parameter; raise ``ValidationError``."""
    if parameter not in request.query_params:
        return frozenset()
    known = known_names()
    names = [name for text in request.query_params.getlist(parameter) for name in text.split(",")]
    if set(names) - set(known):
        message = _("Choose from: %(names)s.") % {"names": ", ".join(known) or "–"}
        raise ValidationError({parameter: [ErrorDetail(message, code="invalid_choice")]})
    return frozenset(names)


def _parameter(name: str, names: list[str], description: str) -> OpenApiParameter:
    schema = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1}
    return OpenApiParameter(name, schema, style="form", explode=False, description=description)
