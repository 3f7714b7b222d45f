"""Streamed CSV responses, with an optional byte order mark by which Excel recognizes UTF-8."""

from collections.abc import Iterable
from itertools import chain

from django.http import StreamingHttpResponse

BYTE_ORDER_MARK = "\ufeff"


def csv_response(lines: Iterable[str], file_name: str, *, with_bom: bool) -> StreamingHttpResponse:
    """Return a streamed download of the lines as UTF-8; ``with_bom`` puts a byte order mark before them."""
    return StreamingHttpResponse(
        chain([BYTE_ORDER_MARK] if with_bom else [], lines),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )
