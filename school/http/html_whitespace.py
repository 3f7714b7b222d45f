"""Middleware that removes the indentation of the admin's pages."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponseBase

# The indentation of an HTML page; the first group matches the elements that keep theirs.
INDENTATION = re.compile(rb"(<(textarea|pre)\b.*?</\2>)|\n\s+", re.DOTALL)


class HtmlWhitespaceMiddleware:
    """
    Removes the indentation of the admin's pages.

    The indentation in the theme's templates would be a third of the size of a page.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: Any = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html") and not response.streaming
        if is_page and request.path_info.startswith("/admin/"):
            response.content = INDENTATION.sub(lambda match: match[1] or b"\n", response.content)
        return response
