"""Bodies that are files: a form with one in it, or the file itself."""

import tempfile
from typing import Any, BinaryIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

PIECE = 1 << 16


class FormParser(MultiPartParser):
    """A form with a file in it, of text that can be written."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        parsed = super().parse(stream, media_type, parser_context)
        if any("\0" in text for name in parsed.data for text in (name, *parsed.data.getlist(name))):
            raise ParseError(_("The form has a NUL byte in it."))
        return parsed


class CsvParser(BaseParser):
    """A CSV file as the body: it goes to a temporary file piece by piece, and is closed with the request."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, BinaryIO]:
        kept = tempfile.TemporaryFile()  # noqa: SIM115  # read by the view, closed when it is collected
        size = 0
        while piece := stream.read(PIECE):
            size += len(piece)
            if size > settings.MAX_UPLOAD_BYTES:
                kept.close()
                raise RequestDataTooBig
            kept.write(piece)
        kept.seek(0)
        return {"file": kept}


class ZipParser(CsvParser):
    """A zip of several files as the body."""

    media_type = "application/zip"


class CsvRenderer(JSONRenderer):
    """Lets a caller ask for CSV, which views stream themselves. Problems are JSON all the same."""

    media_type = "text/csv"
    format = "csv"


def file_and_fields(request: Request) -> tuple[BinaryIO, str, dict[str, Any]]:
    """Return the file of a request, its name, and the fields beside it, in the form or in the query; raise 400."""
    body: dict[str, Any] = request.data if isinstance(request.data, dict) else {}
    found: Any = body.get("file")
    if not hasattr(found, "read"):
        message = _("Send a file: as the body, or as the field file of a form.")
        raise ValidationError({"file": [ErrorDetail(str(message), code="required")]})
    fields = {name: value for name, value in body.items() if name != "file"}
    named = str(getattr(found, "name", "") or "")
    return found, "" if named.isdecimal() else named, {**request.query_params.dict(), **fields}
