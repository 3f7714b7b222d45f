"""The renderer for CSV, with an optional byte order mark."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

BOM_PARAMETER = "bom"
BOM_OPENAPI_PARAMETER = OpenApiParameter(
    BOM_PARAMETER, bool, description="Start the CSV with a byte order mark, so that Excel reads it as UTF-8."
)


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
