"""Renderers for JSON, most of which the database has rendered already, and for CSV."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from school.api.row_json import JsonText
from school.http.problems import CONTENT_TYPE

BOM_PARAMETER = "bom"
BOM_OPENAPI_PARAMETER = OpenApiParameter(
    BOM_PARAMETER, bool, description="Start the CSV with a byte order mark, so that Excel reads it as UTF-8."
)


class JsonRenderer(JSONRenderer):
    """DRF's renderer, except that it returns a ``JsonText`` unchanged."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        if isinstance(data, JsonText):
            return data.encode()
        rendered: bytes = super().render(data, accepted_media_type, renderer_context)
        return rendered


class ContentNegotiation(DefaultContentNegotiation):
    """
    DRF's negotiation, except that a client that accepts problems accepts JSON.

    Problems are the only bodies of some operations, so a client may name only their media type.
    """

    def get_accept_list(self, request: Request) -> list[str]:
        accepted = super().get_accept_list(request)
        return [each.replace(CONTENT_TYPE, JsonRenderer.media_type) for each in accepted]


class CsvRenderer(JSONRenderer):
    """The renderer of views that stream CSV themselves. It only renders problems, which are always JSON."""

    media_type = "text/csv"
    format = "csv"


def wants_bom(request: Request) -> bool:
    """Return True if the request asks for a byte order mark; raise ``ValidationError``."""
    value = request.query_params.get(BOM_PARAMETER, "false")
    if value not in ("true", "false"):
        message = _("Write true or false.")
        raise ValidationError({BOM_PARAMETER: [ErrorDetail(message, code="invalid_choice")]})
    return value == "true"
