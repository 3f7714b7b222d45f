"""
A JSON parser that accepts only bodies that all JSON parsers read alike (RFC 8259; RFC 7493, I-JSON).

A body that two parsers could read differently is rejected: one with a repeated name, a number that JSON does not allow,
or text that cannot be encoded. Django's DATA_UPLOAD_MAX_MEMORY_SIZE bounds the size of a body; the limits here bound
the time and the memory that parsing a body of this size takes.
"""

import codecs
import json
import math
import re
from typing import Any, NoReturn

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_DEPTH = 32  # the maximum depth of nested arrays and objects; a batch has a depth of 4
MAX_CONTAINERS = 10_000  # the maximum number of arrays and objects in a body; a batch of 1,000 items has up to 2,002

# Half of a surrogate pair cannot be encoded, neither for the database nor for the response (RFC 8259, 8.2).
SURROGATE = re.compile("[\ud800-\udfff]")
_MANY_DIGITS = re.compile(r"(?<![0-9])[0-9]{40}")
_LARGE_EXPONENT = re.compile(r"[eE]\+?[0-9]{3}")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*+"?', re.DOTALL)


class StrictJSONParser(JSONParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        data = stream.read()
        if data.startswith(codecs.BOM_UTF8):
            raise ParseError(_("The body starts with a byte order mark. Send JSON without one."))
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ParseError(_("The body is not UTF-8. Send JSON in UTF-8.")) from None
        if text[:4].strip("\0") != text[:4]:
            raise ParseError(_("The body has NUL bytes, as UTF-16 and UTF-32 have. Send JSON in UTF-8."))
        if _count_containers(text) > MAX_CONTAINERS and _count_containers(_STRING.sub("", text)) > MAX_CONTAINERS:
            message = _("The JSON has more than %(limit)s arrays and objects.")
            raise ParseError(message % {"limit": f"{MAX_CONTAINERS:,}"})
        # Where possible, the parser uses its own functions for numbers: a body of a million numbers takes half the
        # time.
        has_many_digits = _MANY_DIGITS.search(text)
        parse_int = _parse_int if has_many_digits else None
        parse_float = _parse_float if has_many_digits or _LARGE_EXPONENT.search(text) else None
        try:
            body = json.loads(
                text,
                object_pairs_hook=_unique_object,
                parse_constant=_reject_constant,
                parse_float=parse_float,
                parse_int=parse_int,
            )
            _check_depth(body, MAX_DEPTH)
        except RecursionError:
            raise _too_deep_error() from None
        except ValueError as error:
            raise ParseError(_("The body is not valid JSON: %(error)s") % {"error": error}) from None
        # The text was decoded from UTF-8, so it has no surrogates: only a \u escape can produce one.
        if "\\u" in text and not _is_encodable(body):
            raise ParseError(_("A string in the JSON has half of a surrogate pair."))
        return body


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ParseError(_("An object in the JSON has the same name twice."))
    return members


def _reject_constant(name: str) -> NoReturn:
    raise ParseError(_("%(name)s is not valid in JSON.") % {"name": name})


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ParseError(_("The JSON has a number that is too large."))
    return number


def _parse_int(text: str) -> int:
    if len(text) > 40:
        raise ParseError(_("The JSON has a number that is too large."))
    return int(text)


def _too_deep_error() -> ParseError:
    return ParseError(_("The JSON is nested too deeply."))


def _count_containers(text: str) -> int:
    return text.count("[") + text.count("{")


def _check_depth(node: Any, levels: int) -> None:
    """Raise ``ParseError`` if arrays and objects are nested over more than ``levels`` levels."""
    if not isinstance(node, dict | list):
        return
    if not levels:
        raise _too_deep_error()
    for each in node.values() if isinstance(node, dict) else node:
        if type(each) is dict or type(each) is list:
            _check_depth(each, levels - 1)


def _is_encodable(node: Any) -> bool:
    """Return True if every text can be encoded. Call it after ``_check_depth``, which bounds the recursion."""
    if isinstance(node, str):
        return not SURROGATE.search(node)
    if isinstance(node, dict):
        return all(map(_is_encodable, node)) and all(map(_is_encodable, node.values()))
    return all(map(_is_encodable, node)) if isinstance(node, list) else True
