"""
JSON bodies as every reader understands them alike (RFC 8259; RFC 7493, I-JSON).

What one reader takes for this and another for that is refused here, before anybody acts on it: two values of one name,
numbers that are none, text that cannot be written. Their size is bounded by Django's DATA_UPLOAD_MAX_MEMORY_SIZE.
"""

import json
import math
import re
from typing import Any, NoReturn

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MOST_LEVELS = 32  # of arrays and objects within each other; a batch has 4

# Half of a surrogate pair is no text: no encoding can write it, in a table or in the refusal (RFC 8259, 8.2).
UNUSABLE = re.compile("[\ud800-\udfff]")


class StrictJSONParser(JSONParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            text = stream.read().decode()
        except UnicodeDecodeError:
            raise ParseError(_("JSON is written in UTF-8.")) from None
        try:
            body = json.loads(
                text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_number, parse_int=_integer
            )
            usable = _is_usable(body, MOST_LEVELS)
        except RecursionError:
            raise _too_deep() from None
        except ValueError as error:
            raise ParseError(_("This is not JSON: %(error)s") % {"error": error}) from None
        if not usable:
            raise ParseError(_("The JSON has half of a surrogate pair in a text."))
        return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ParseError(_("The JSON has two values of one name."))
    return found


def _no_number(name: str) -> NoReturn:
    raise ParseError(_("JSON has no %(name)s.") % {"name": name})


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ParseError(_("The JSON has a number that is too large."))
    return number


def _integer(text: str) -> int:
    if len(text) > 40:
        raise ParseError(_("The JSON has a number that is too large."))
    return int(text)


def _too_deep() -> ParseError:
    return ParseError(_("The JSON is nested too deeply."))


def _is_usable(node: Any, levels: int) -> bool:
    if isinstance(node, str):
        return not UNUSABLE.search(node)
    if isinstance(node, dict | list) and not levels:
        raise _too_deep()
    if isinstance(node, dict):
        return all(_is_usable(key, 0) and _is_usable(value, levels - 1) for key, value in node.items())
    return all(_is_usable(each, levels - 1) for each in node) if isinstance(node, list) else True
