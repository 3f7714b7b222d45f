"""The CSV files of OneRoster as a download: ``GET /api/v1/exports/oneroster``."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError as InvalidValue
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from oneroster.api.views import publish_for_request
from oneroster.bundle import VERSIONS
from oneroster.bundle_response import PERMISSION, bundle_response
from oneroster.mapping import V1P2
from oneroster.scopes import SCOPE
from school.api.date_and_number_parsing import INSTANT_PATTERN, parse_instant
from school.api.permissions import MissingPermission, is_permitted, row_scope_of
from school.api.query_parameters import StrictQueryMixin

INSTANT = {"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN}


class ZipRenderer(JSONRenderer):
    """The renderer of a view that streams a zip itself. It only renders problems, which are always JSON."""

    media_type = "application/zip"
    format = "zip"


class MayExport(BasePermission):
    """Checks that the token has the scope for rosters, or that the staff user may export personal data."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not (request.user and request.user.is_authenticated):
            return False
        if not is_permitted(request, SCOPE, PERMISSION):
            raise MissingPermission(request, SCOPE, [PERMISSION])
        return True


class ExportView(StrictQueryMixin, APIView):
    """
    Streams the zip. ``version`` is 1.1 or 1.2; with ``delta_since``, an instant, only what has changed since then.

    Staff need the permission to export personal data.
    """

    scope = "rosters"
    permission_classes = (MayExport,)
    renderer_classes = [ZipRenderer, JSONRenderer]
    http_method_names = ("get", "head")

    def allowed_parameters(self) -> set[str]:
        return {"version", "delta_since"}

    @extend_schema(
        operation_id="exports_oneroster_retrieve",
        parameters=[
            OpenApiParameter("version", str, enum=VERSIONS, default=V1P2),
            OpenApiParameter("delta_since", INSTANT, description="Only what has changed since then."),
        ],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        version = request.query_params.get("version", V1P2)
        if version not in VERSIONS:
            message = _("Choose one of: %(names)s.") % {"names": ", ".join(VERSIONS)}
            raise ValidationError({"version": [ErrorDetail(message, code="invalid_choice")]})
        since = _instant(request.query_params.get("delta_since"))
        publish_for_request()
        return bundle_response(request._request, version, since, row_scope_of(request))


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_instant(text)
    except InvalidValue as error:
        raise ValidationError({"delta_since": [ErrorDetail(error.messages[0], code=error.code)]}) from None
