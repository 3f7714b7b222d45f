"""The renderer for CSV, and the choice of the renderer of a response."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from school.http.problems import CONTENT_TYPE

BOM_PARAMETER = "bom"
BOM_OPENAPI_PARAMETER = OpenApiParameter(
    BOM_PARAMETER, bool, description="Start the CSV with a byte order mark, so that Excel reads it as UTF-8."
)


class ContentNegotiation(DefaultContentNegotiation):
    """
    DRF's choice of the renderer, with two exceptions.

    A request that accepts anything gets the view's first renderer at once. A client that accepts problems also accepts
    JSON: problems are the only bodies of some operations, so a client may name only their media type.
    """

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        if request.META.get("HTTP_ACCEPT", "*/*") == "*/*":
            return renderers[0], renderers[0].media_type
        return super().select_renderer(request, renderers, format_suffix)

    def get_accept_list(self, request: Request) -> list[str]:
        return [each.replace(CONTENT_TYPE, JSONRenderer.media_type) for each in super().get_accept_list(request)]


class CsvRenderer(JSONRenderer):
    """
    The CSV renderer of views that stream the CSV themselves.

    This class renders only problems, which are JSON even for these views.
    """

    media_type = "text/csv"
    format = "csv"


def wants_bom(request: Request) -> bool:
    """Return True if the request asks for a byte order mark; raise ``ValidationError``."""
    value = request.query_params.get(BOM_PARAMETER, "false")
    if value not in ("true", "false"):
        message = _("Write true or false.")
        raise ValidationError({BOM_PARAMETER: [ErrorDetail(message, code="invalid_choice")]})
    return value == "true"
