"""What of a representation is wanted: ``fields=`` for less of it, ``expand=`` for more."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail, PermissionDenied, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from school.api.permissions import may

PARAMETERS = ("fields", "expand")


class Shaped:
    """
    A viewset whose reads take ``fields`` and ``expand``.

    ``expandable`` names what can be shown in full: its serializer, and the scope and the permission that reading it
    takes by itself.
    """

    expandable: dict[str, tuple[Any, str, str]] = {}
    wanted: frozenset[str] = frozenset()
    expanded: frozenset[str] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        view: Any = super()
        view.initial(request, *args, **kwargs)
        if request.method in SAFE_METHODS:
            self.wanted = _chosen(request, "fields", self.field_names())
            self.expanded = _chosen(request, "expand", list(self.expandable))
        for name in self.expanded:
            _serializer, scope, permission = self.expandable[name]
            if not may(request, scope, permission):
                message = _("To expand %(name)s takes the scope %(scope)s.")
                raise PermissionDenied(message % {"name": name, "scope": scope})

    def field_names(self) -> list[str]:
        view: Any = self
        return list(view.get_serializer_class()().fields)

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
        """Return the two parameters for the OpenAPI document."""
        names = self.field_names()
        found = [_parameter("fields", names, _("Only these fields, parted by commas."))]
        if self.expandable:
            expandable = list(self.expandable)
            text = _("Show these in full, parted by commas. Takes the scope to read them.")
            found.append(_parameter("expand", expandable, text))
        return found


def _chosen(request: Request, parameter: str, known: list[str]) -> frozenset[str]:
    """Return the names that a parameter asks for, none where it is not there; raise ``ValidationError``."""
    if parameter not in request.query_params:
        return frozenset()
    names = [name.strip() for text in request.query_params.getlist(parameter) for name in text.split(",")]
    if set(names) - set(known):
        message = _("Choose from: %(names)s.") % {"names": ", ".join(known) or "–"}
        raise ValidationError({parameter: [ErrorDetail(message, code="invalid_choice")]})
    return frozenset(names)


def _parameter(name: str, names: list[str], description: str) -> OpenApiParameter:
    schema = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1}
    return OpenApiParameter(name, schema, style="form", explode=False, description=description)
