"""
JSON bodies, bounded in depth, and of text that can be written.

Their size is bounded by Django's DATA_UPLOAD_MAX_MEMORY_SIZE.
"""

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

# Half of a surrogate pair is no text: no encoding can write it, in a table or in the refusal (RFC 8259, 8.2).
UNUSABLE = re.compile("[\ud800-\udfff]")


class StrictJSONParser(JSONParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            body = super().parse(stream, media_type, parser_context)
            usable = _is_usable(body)
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None
        if not usable:
            raise ParseError(_("The JSON has half of a surrogate pair in a text."))
        return body


def _is_usable(node: Any) -> bool:
    if isinstance(node, str):
        return not UNUSABLE.search(node)
    if isinstance(node, dict):
        return all(_is_usable(key) and _is_usable(value) for key, value in node.items())
    return all(map(_is_usable, node)) if isinstance(node, list) else True
