"""The parameters ``fields``, for fewer fields of a response, and ``expand``, for related objects in full."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from school.api.permissions import Missing, may

PARAMETERS = ("fields", "expand")


class Shaped:
    """
    A viewset whose reads accept ``fields`` and ``expand``.

    ``expandable`` maps each name that can be shown in full to its serializer, and to the scope and the permission that
    reading it by itself requires.
    """

    expandable: dict[str, tuple[Any, str, str]] = {}
    wanted: frozenset[str] = frozenset()
    expanded: frozenset[str] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        view: Any = super()
        view.initial(request, *args, **kwargs)
        if request.method in SAFE_METHODS:
            self.wanted = _chosen(request, "fields", self.field_names)
            self.expanded = _chosen(request, "expand", lambda: list(self.expandable))
        for name in self.expanded:
            _serializer, scope, permission = self.expandable[name]
            if not may(request, scope, permission):
                raise Missing(request, scope, [permission])

    def field_names(self) -> list[str]:
        view: Any = self
        return _names_in(view.get_serializer_class())

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        view: Any = super()
        serializer = view.get_serializer(*args, **kwargs)
        one = getattr(serializer, "child", serializer)
        for name in self.expanded:
            one.fields[name] = self.expandable[name][0](read_only=True)
        for name in set(one.fields) - self.wanted if self.wanted else ():
            del one.fields[name]
        return serializer

    def shape_parameters(self) -> list[OpenApiParameter]:
        """Return the parameters for the OpenAPI document."""
        names = self.field_names()
        found = [_parameter("fields", names, _("Return only these fields, separated by commas."))]
        if self.expandable:
            expandable = list(self.expandable)
            text = _("Return these objects in full, separated by commas. Requires the scope to read them.")
            found.append(_parameter("expand", expandable, text))
        return found


@cache
def _names_in(serializer_class: Any) -> list[str]:
    """Return the names of a serializer's fields. They are cached, because building the fields is slow."""
    return list(serializer_class().fields)


def _chosen(request: Request, parameter: str, names_known: Callable[[], list[str]]) -> frozenset[str]:
    """Return the names in a parameter, an empty set without the parameter; raise ``ValidationError``."""
    if parameter not in request.query_params:
        return frozenset()
    known = names_known()
    names = [name for text in request.query_params.getlist(parameter) for name in text.split(",")]
    if set(names) - set(known):
        message = _("Choose from: %(names)s.") % {"names": ", ".join(known) or "–"}
        raise ValidationError({parameter: [ErrorDetail(message, code="invalid_choice")]})
    return frozenset(names)


def _parameter(name: str, names: list[str], description: str) -> OpenApiParameter:
    schema = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1}
    return OpenApiParameter(name, schema, style="form", explode=False, description=description)
