"""
Checks of size, encoding and cookies that every request must pass, whatever its path.

A request that is not valid text, or that is too large, is rejected before any other code reads it. PostgreSQL cannot
compare NUL, no encoding can write an unpaired surrogate, and some of Python's charsets decompress.
"""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from school.http.bearer_token import has_bearer_token
from school.http.error_handlers import bad_request, known_error_response, not_found
from school.http.problems import (
    body_too_large,
    cookies_too_large,
    length_required,
    unsupported_charset,
    unsupported_encoding,
)
from school.http.search_limits import truncate_searches

# The paths that accept files. Bodies sent to other paths are limited by ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
UPLOAD_PATHS = {"/api/v1/imports", "/admin/bulk/import/add"}
FORM_OVERHEAD = 100_000  # the maximum size of a form in bytes, without its file
# Parsing the escapes of a form takes a hundred times as much memory as its bytes.
MAX_FORM_BYTES = 1_000_000
FORM_TYPE = "application/x-www-form-urlencoded"
CHARSETS = ("utf-8", "utf8", "us-ascii")
# Python before 3.11.10 unquotes cookies in quadratic time: 100 kB of backslashes take half a minute (CVE-2024-7592).
MAX_COOKIE_BYTES = 8_192

_LENGTH = re.compile(r"[0-9]{1,18}")


def reject(request: HttpRequest) -> HttpResponse | None:
    """Return the error response for a request that no view may see, None for all others. Delete unusable cookies."""
    meta = request.META
    if len(meta.get("HTTP_COOKIE", "")) > MAX_COOKIE_BYTES:
        # Deleted, so that no later code parses the cookies, not even for the log entry of this request.
        del meta["HTTP_COOKIE"]
        return cookies_too_large(request)
    if has_bearer_token(request):
        meta.pop("HTTP_COOKIE", None)  # cookies are ignored, because the token is the only credential of the request
    if not is_text(request.path_info):
        return not_found(request)
    if not _is_percent_encoded_text(meta.get("QUERY_STRING", "")) or not _are_texts(
        request, meta.get("HTTP_COOKIE", "")
    ):
        return bad_request(request)
    if (request.content_params or {}).get("charset", "utf-8").lower() not in CHARSETS:
        return unsupported_charset(request)
    length = meta.get("CONTENT_LENGTH") or ""
    has_body = length not in ("", "0") or meta.get("HTTP_TRANSFER_ENCODING")
    if has_body and not _is_unencoded(meta.get("HTTP_CONTENT_ENCODING", "")):
        return unsupported_encoding(request)
    if meta.get("HTTP_TRANSFER_ENCODING") and not length:
        return length_required(request)  # the server would read a body without a length as empty
    if length and not _LENGTH.fullmatch(length):
        return bad_request(request)
    max_bytes = max_body_bytes(request.path_info, request.content_type or "")
    return body_too_large(request) if int(length or 0) > max_bytes else None


def max_body_bytes(path: str, content_type: str = "") -> int:
    """Return the maximum size, in bytes, of a body of this type sent to this path."""
    if content_type.lower() == FORM_TYPE:
        return min(MAX_FORM_BYTES, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    is_upload = path.rstrip("/") in UPLOAD_PATHS
    return settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD if is_upload else settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def _is_unencoded(header: str) -> bool:
    """Return True if the Content-Encoding (RFC 9110, 8.4) says that the body is not encoded."""
    return {coding.strip().lower() for coding in header.split(",")} <= {"", "identity"}


def is_text(text: str) -> bool:
    """Return True if both databases and every Unicode encoding can store the text."""
    return (text.isascii() and "\0" not in text) or not re.search("[\0\ud800-\udfff]", text)


def _is_percent_encoded_text(query: str) -> bool:
    if query.isascii() and "%" not in query:
        return "\0" not in query
    try:
        return "\0" not in unquote_to_bytes(query.encode("latin-1")).decode()
    except UnicodeError:
        return False


def _are_texts(request: HttpRequest, header: str) -> bool:
    """Return True if all cookies are text. Quoted cookies have escapes for characters that no header may contain."""
    if header.isascii() and "\\" not in header:
        return True
    return all(is_text(text) for pair in request.COOKIES.items() for text in pair)


# The maximum length of a query in the admin. A list page repeats its query in each link, so a long query would make a
# page of megabytes.
MAX_ADMIN_QUERY = 8_192


class RequestChecksMiddleware:
    """
    Accepts API paths with or without a trailing slash, and rejects requests that exceed limits of server or database.

    An integer beyond 64 bits in a search is an error on SQLite, and Django does not check for it. If the database is
    busy, the response says so.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (refusal := reject(request)) is not None:
            return refusal
        if request.path_info.startswith(("/api/", "/oauth/", "/ims/")) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        if request.path_info.startswith("/admin/"):
            truncate_searches(request)
            if len(request.META.get("QUERY_STRING", "")) > MAX_ADMIN_QUERY:
                return bad_request(request)
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return known_error_response(request, exception)
