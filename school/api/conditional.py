"""
Conditional requests (RFC 9110, 8.8.3 and 13.1): a tag for what is read, and writes and reads that go by it.

A tag stands for the values that a representation is made of, so that telling whether something has changed takes
neither serializing nor rendering. The tag of one resource is strong; that of a page is weak: it does not stand for the
addresses in its links.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest
from django.utils.http import parse_etags
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from school.refusals import Refused, changed_meanwhile

# Bytes. While hashlib is at more, other threads run, and to come back among them takes longer.
UNBROKEN = 2_000

State = tuple[object, ...]

_in_json = json.JSONEncoder(default=str, separators=(",", ":")).encode


class PreconditionRequired(APIException):
    """RFC 6585, 3."""

    status_code = 428
    default_code = "precondition_required"
    default_detail = _("Send the ETag of what you have read as If-Match.")


def tag_of(state: Iterable[object]) -> str:
    """Return a strong entity tag for these values."""
    return tag_of_text(_in_json(list(state)))


def tag_of_text(text: str) -> str:
    """Return a strong entity tag for what is written so."""
    data, checksum = text.encode(), hashlib.sha256()
    for place in range(0, len(data), UNBROKEN):
        checksum.update(data[place : place + UNBROKEN])
    return f'"{checksum.hexdigest()[:32]}"'


def is_conditional(request: Request) -> bool:
    """Tell whether a write depends on what was read; raise ``PreconditionRequired`` where it must and does not."""
    if "If-Match" in request.headers:
        return True
    if settings.REQUIRE_IF_MATCH:
        raise PreconditionRequired
    return False


def matches_anything(request: Request) -> bool:
    return parse_etags(request.headers.get("If-Match", "")) == ["*"]


def check_if_match(request: Request, tag: str) -> None:
    """Raise ``Refused`` where If-Match names neither this tag nor any (strong comparison)."""
    if not matches_anything(request) and tag not in parse_etags(request.headers["If-Match"]):
        raise Refused([changed_meanwhile()])


def is_known(request: Request | HttpRequest, tag: str) -> bool:
    """Tell whether the caller has what this tag stands for already (weak comparison)."""
    told = request.META.get("HTTP_IF_NONE_MATCH")
    if not told:
        return False
    known = parse_etags(told)
    return known == ["*"] or tag.removeprefix("W/") in {each.removeprefix("W/") for each in known}


class ConditionalReads:
    """Tags on what a viewset retrieves and lists, and 304 without a body for who has it already."""

    def state_of(self, row: Any) -> State:
        """Return every value that the representation of a row is made of."""
        return tuple(values_of(row))

    def tag_of(self, row: Any) -> str:
        return tag_of(self.state_of(row))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        view: Any = self
        row = view.get_object()
        tag = self.tag_of(row)
        if is_known(request, tag):
            return Response(status=304, headers={"ETag": tag})
        return Response(view.get_serializer(row).data, headers={"ETag": tag})

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        view: Any = self
        rows = view.paginate_queryset(view.filter_queryset(view.get_queryset()))
        page = view.paginator
        tag = f"W/{tag_of([page.has_next, page.has_previous, *map(self.state_of, rows)])}"
        if is_known(request, tag):
            return Response(status=304, headers={"ETag": tag})
        response: Response = view.get_paginated_response(view.get_serializer(rows, many=True).data)
        response["ETag"] = tag
        return response


def values_of(row: Model) -> Iterable[object]:
    """Return the values of a row's own columns."""
    return [getattr(row, field.attname) for field in row._meta.concrete_fields]
