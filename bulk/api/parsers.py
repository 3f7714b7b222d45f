"""Parses request bodies that have a file: either a form with a file field, or the file itself."""

import io
import tempfile
from typing import Any, BinaryIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request

from bulk.labels import ONE_FILE
from school.api.query_parameters import repeated_error

READ_SIZE = 1 << 16


class FormParser(MultiPartParser):
    """Parses a form with a file. A NUL byte in a text is refused, because it cannot be stored."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        parsed = super().parse(stream, media_type, parser_context)
        if any("\0" in text for name in parsed.data for text in (name, *parsed.data.getlist(name))):
            raise ParseError(_("The form contains a NUL byte. Remove it."))
        return parsed


class CsvParser(BaseParser):
    """
    Parses a body that is a CSV file: copies it piece by piece to a temporary file, which is closed with the request.
    """

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, BinaryIO]:
        copy = tempfile.TemporaryFile()  # noqa: SIM115  # the view reads it until it is garbage-collected
        size = 0
        while block := stream.read(READ_SIZE):
            size += len(block)
            if size > settings.MAX_UPLOAD_BYTES:
                copy.close()
                raise RequestDataTooBig
            copy.write(block)
        copy.seek(0)
        return {"file": copy}


class ZipParser(CsvParser):
    """Parses a body that is a zip of several files."""

    media_type = "application/zip"


def file_and_fields(request: Request) -> tuple[BinaryIO, str, dict[str, Any]]:
    """
    Return the file of a request, its name, and the other fields of the form or the query.

    Raise ``ValidationError`` (400) for a missing file, more than one file, and a repeated field.
    """
    body: dict[str, Any] = request.data if isinstance(request.data, dict) else {}
    file: Any = body.get("file")
    if not hasattr(file, "read") and _has_empty_file(request):
        file = io.BytesIO()
    if not hasattr(file, "read"):
        message = _("Send a file as the body, or as the form field file.")
        raise ValidationError({"file": [ErrorDetail(str(message), code="required")]})
    lists = body if isinstance(body, QueryDict) else QueryDict()
    if len(lists.getlist("file")) > 1:
        raise ValidationError({"file": [ErrorDetail(str(ONE_FILE), code="one_file")]})
    repeated_names = [name for name in lists if len([*lists.getlist(name), *request.query_params.getlist(name)]) > 1]
    if repeated_names:
        raise ValidationError({name: [repeated_error()] for name in repeated_names})
    fields = {name: value for name, value in body.items() if name != "file"}
    file_name = str(getattr(file, "name", "") or "")
    return file, "" if file_name.isdecimal() else file_name, {**request.query_params.dict(), **fields}


def _has_empty_file(request: Request) -> bool:
    """Return True if the body is empty and has the content type of a file. DRF calls no parser for an empty body."""
    media_types = (CsvParser.media_type, ZipParser.media_type)
    return not request.data and request.content_type.partition(";")[0].strip().lower() in media_types
