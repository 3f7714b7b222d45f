"""Reads the file and the parameters of an upload from its request."""

import io
from typing import Any, BinaryIO

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from bulk.api.parsers import CsvParser, ZipParser
from bulk.jobs.submission import ONE_FILE
from school.api.query_parameters import repeated_error


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
