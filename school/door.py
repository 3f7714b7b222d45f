"""
What is turned away at the door, whatever it is addressed to.

A request that is no text, or larger than anything that is taken, is refused before anybody reads it. PostgreSQL cannot
compare NUL, an unpaired surrogate cannot be written by any encoding, and Python knows charsets that unpack.
"""

import re
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from school.api.problems import bad_request, body_too_large, length_required, not_found, unsupported_charset

# Where files are sent to. Everywhere else a body is no larger than Django takes.
UPLOADS = {"/api/v1/imports", "/admin/bulk/import/add"}
FORM_AROUND_IT = 100_000  # bytes of a form beside the file in it
CHARSETS = ("utf-8", "utf8", "us-ascii")

_LENGTH = re.compile(r"[0-9]{1,18}")


def turned_away(request: HttpRequest) -> HttpResponse | None:
    """Return the refusal of a request that nobody is to see, None for all others."""
    meta = request.META
    if not is_text(request.path_info):
        return not_found(request)
    if not _is_text_in_percents(meta.get("QUERY_STRING", "")) or not _are_texts(request, meta.get("HTTP_COOKIE", "")):
        return bad_request(request)
    if (request.content_params or {}).get("charset", "utf-8").lower() not in CHARSETS:
        return unsupported_charset(request)
    length = meta.get("CONTENT_LENGTH") or ""
    if meta.get("HTTP_TRANSFER_ENCODING") and not length:
        return length_required(request)  # a body without a length would be read as empty
    if length and not _LENGTH.fullmatch(length):
        return bad_request(request)
    return body_too_large(request) if int(length or 0) > most_bytes(request.path_info) else None


def most_bytes(path: str) -> int:
    """Return how large a body to this path may be."""
    is_upload = path.rstrip("/") in UPLOADS
    return settings.MAX_UPLOAD_BYTES + FORM_AROUND_IT if is_upload else settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def is_text(text: str) -> bool:
    """Tell whether every encoding and both databases can write it."""
    return (text.isascii() and "\0" not in text) or not re.search("[\0\ud800-\udfff]", text)


def _is_text_in_percents(query: str) -> bool:
    if query.isascii() and "%" not in query:
        return "\0" not in query
    try:
        return "\0" not in unquote_to_bytes(query.encode("latin-1")).decode()
    except UnicodeError:
        return False


def _are_texts(request: HttpRequest, header: str) -> bool:
    """Cookies in quotes have escapes, which can spell what no header may have."""
    if header.isascii() and "\\" not in header:
        return True
    return all(is_text(text) for pair in request.COOKIES.items() for text in pair)
