"""
Size limits for submitted HTML forms.

A form with an error is displayed again with all submitted values. Limiting them by their size in the page keeps the
page smaller than 100 kB.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.html import conditional_escape

from school.refusals import shorten

MAX_TEXT = 10_000  # the maximum size of all texts of a form, in bytes of HTML; a quote takes six bytes
MAX_VALUES = 200  # the maximum number of values of a field that accepts several

# The fields of pages about many rows, which may be larger. The views of these pages limit what they display again.
BOUNDED_BY_VIEW = {"_selected_action", "chosen", "kept", "listed", "text"}
# The prefixes of the names of more such fields: corrected lines, and grades.
CORRECTION_PREFIX, GRADE_PREFIX = "fix:", "grade:"


def reject_form(request: HttpRequest) -> HttpResponse | None:
    """Return a 413 page for a form that exceeds the limits, None for all others."""
    sizes = {}
    for name, values in request.POST.lists():
        if name in BOUNDED_BY_VIEW or name.startswith((CORRECTION_PREFIX, GRADE_PREFIX)):
            continue
        if len(values) > MAX_VALUES:
            return _too_large(request, name, values=len(values))
        sizes[name] = sum(size_in_page(value) for value in values)
    if sum(sizes.values()) <= MAX_TEXT:
        return None
    longest = max(sizes, key=sizes.__getitem__)
    return _too_large(request, longest, size=sizes[longest])


def size_in_page(text: str) -> int:
    """Return the size of the text in bytes, escaped as in HTML."""
    return len(conditional_escape(text).encode())


def _too_large(request: HttpRequest, name: str, **numbers: int) -> HttpResponse:
    bounds = {"max_text": MAX_TEXT, "max_values": MAX_VALUES}
    return render(request, "school/form_too_large.html", {"name": shorten(name, 100), **numbers, **bounds}, status=413)


class FormLimitsMiddleware:
    """Rejects a form that is too large to be displayed again."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponseBase | None:
        is_form = request.method == "POST" and not request.path_info.startswith(("/api/", "/oauth/"))
        return reject_form(request) if is_form else None
