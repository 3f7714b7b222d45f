"""The CSV files of OneRoster as a download: ``GET /api/v1/exports/oneroster``."""

from datetime import datetime
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from oneroster.api.views import publish_for_request
from oneroster.bundle import VERSIONS, stream_bundle
from oneroster.filters import parse_instant
from oneroster.mapping import V1P2
from school.access.access_log import Subject, record_export
from school.api.permissions import row_scope_of
from school.api.query_parameters import StrictQueryMixin
from students.models import Student


class ZipRenderer(JSONRenderer):
    """The renderer of a view that streams a zip itself. It only renders problems, which are always JSON."""

    media_type = "application/zip"
    format = "zip"


class ExportView(StrictQueryMixin, APIView):
    """
    Streams the zip. ``version`` is 1.1 or 1.2; with ``delta_since``, an instant, only what has changed since then.

    Staff need the permission to export personal data.
    """

    scope = "rosters"
    permission_model = Student
    method_permissions = {"GET": "export_personal_data"}
    renderer_classes = [ZipRenderer, JSONRenderer]
    http_method_names = ("get", "head")

    def allowed_parameters(self) -> set[str]:
        return {"version", "delta_since"}

    @extend_schema(exclude=True)
    def get(self, request: Request) -> StreamingHttpResponse:
        version = request.query_params.get("version", V1P2)
        if version not in VERSIONS:
            message = _("Choose one of: %(names)s.") % {"names": ", ".join(VERSIONS)}
            raise ValidationError({"version": [ErrorDetail(message, code="invalid_choice")]})
        since = _instant(request.query_params.get("delta_since"))
        publish_for_request()
        record_export(request, Subject.ENROLLMENTS)
        return zip_response(version, since, row_scope_of(request))


def zip_response(version: str, since: datetime | None, row_scope: Any) -> StreamingHttpResponse:
    """Return a download of the published objects."""
    return StreamingHttpResponse(
        stream_bundle(version, since=since, row_scope=row_scope),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="oneroster-{version}.zip"'},
    )


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    instant = parse_instant(text)
    if instant is None:
        message = _("Write an instant like 2026-09-01T00:00:00Z.")
        raise ValidationError({"delta_since": [ErrorDetail(message, code="invalid")]})
    return instant
