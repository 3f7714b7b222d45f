"""Parses request bodies that have a file: either a form with a file field, or the file itself."""

import tempfile
from typing import Any, BinaryIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, MultiPartParser

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
