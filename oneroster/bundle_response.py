"""The CSV files as a download, for the API and the admin."""

from datetime import datetime

from django.http import HttpRequest, StreamingHttpResponse

from oneroster.bundle import stream_bundle
from school.access.access_log import Subject, record_export
from school.access.row_scope import RowScope

PERMISSION = "students.export_personal_data"  # of staff users who may export the files


def bundle_response(
    request: HttpRequest, version: str, since: datetime | None, row_scope: RowScope | None = None
) -> StreamingHttpResponse:
    """Return a zip of the published objects, and add an entry to the record of access. The caller publishes before."""
    record_export(request, Subject.ENROLLMENTS)
    return StreamingHttpResponse(
        stream_bundle(version, since=since, row_scope=row_scope),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="oneroster-{version}.zip"'},
    )
