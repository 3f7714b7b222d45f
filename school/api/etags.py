"""
Conditional requests (RFC 9110, 8.8.3 and 13.1): ETags, and reads and writes that depend on them.

An ETag is computed from the JSON of a row, or of the rows of a page. It does not depend on the headers of the request.
The ETag of one resource is strong; that of a page is weak, because it does not cover the URLs in the page's links.
"""

import hashlib
import re

from django.conf import settings
from django.http import HttpRequest
from django.utils.http import parse_etags
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from school.refusals import Refusal, Refused, version_conflict

# A strong ETag of this server, which may have a suffix from a proxy that compresses responses.
OWN_ETAG = re.compile(r'"[0-9a-f]{32}"')
ALTERED_ETAG = re.compile(r'"[0-9a-f]{32}[^"]+"')


class PreconditionRequired(APIException):
    """A change has no If-Match header, and this server requires one: status 428 (RFC 6585, 3)."""

    status_code = 428
    default_code = "precondition_required"
    default_detail = gettext_lazy("Send the ETag of the response that you read, as If-Match.")


def etag_of_text(text: str) -> str:
    """Return the strong ETag of a resource with this JSON."""
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def etag_of_page(results: str, has_next: bool, has_previous: bool) -> str:
    """Return the weak ETag of a page. ``results`` is the JSON of its rows, without blanks, separated by commas."""
    return f"W/{etag_of_text(f'{has_next} {has_previous} {results}')}"


def is_conditional(request: Request) -> bool:
    """Return True if the request has If-Match; raise ``PreconditionRequired`` if the header is required but missing."""
    if "If-Match" in request.headers:
        return True
    if settings.REQUIRE_IF_MATCH:
        raise PreconditionRequired
    return False


def if_match_is_any(request: Request) -> bool:
    return parse_etags(request.headers.get("If-Match", "")) == ["*"]


def check_if_match(request: Request, etag: str) -> None:
    """Raise ``Refused`` unless If-Match is ``*`` or contains this ETag (strong comparison: RFC 9110, 13.1.1)."""
    if if_match_is_any(request):
        return
    sent = parse_etags(request.headers["If-Match"])
    if etag not in sent:
        raise Refused([_mismatch_refusal(sent)])


def check_if_none_match(request: Request, etag: str) -> None:
    """Raise ``Refused`` if If-None-Match is ``*`` or contains this ETag (RFC 9110, 13.1.2)."""
    if matches_if_none_match(request, etag):
        message = _("The object exists already, and If-None-Match excludes it.")
        raise Refused([Refusal("precondition_failed", message, _("Exists already"))])


def refuse_if_match(request: Request) -> None:
    """Raise ``Refused`` if a request for a row that does not exist has If-Match."""
    if "If-Match" in request.headers:
        message = _("The object does not exist, so it cannot match If-Match.")
        raise Refused([Refusal("precondition_failed", message, _("Does not exist"))])


def _mismatch_refusal(sent: list[str]) -> Refusal:
    """Return the reason why no ETag matches: the row has changed, or a proxy altered an ETag on the way."""
    is_own = any(OWN_ETAG.fullmatch(each) for each in sent)
    if not is_own and any(each.startswith("W/") for each in sent):
        message = _(
            "The ETag in If-Match is weak (W/), and weak ETags never match. A proxy that compresses responses "
            "makes ETags weak: turn off its compression for this API."
        )
    elif not is_own and (not sent or any(ALTERED_ETAG.fullmatch(each) for each in sent)):
        message = _(
            "If-Match is not an ETag of this server (32 hexadecimal digits in double quotes). Send the ETag "
            "unchanged. A proxy that compresses responses may have changed it: turn off its compression for "
            "this API."
        )
    else:
        return version_conflict()
    return Refusal("precondition_failed", message, _("ETag not usable"))


def matches_if_none_match(request: Request | HttpRequest, etag: str) -> bool:
    """Return True if If-None-Match contains this ETag: the caller has the current version (weak comparison)."""
    header = request.META.get("HTTP_IF_NONE_MATCH")
    if not header:
        return False
    etags = parse_etags(header)
    return etags == ["*"] or etag.removeprefix("W/") in {each.removeprefix("W/") for each in etags}
