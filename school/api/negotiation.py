"""What is sent and wanted by nearly every program: JSON, found without weighing anything."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation

JSON = "application/json"
# What programs say that take JSON before all else.
PLAIN = frozenset(["", "*/*", JSON, f"{JSON}, text/plain, */*"])


class Negotiation(DefaultContentNegotiation):
    """DRF's, with a shorter way to the same answer for what is plain."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        if request.content_type == parsers[0].media_type:
            return parsers[0]
        return super().select_parser(request, parsers)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        first = renderers[0]
        if not format_suffix and first.media_type == JSON and request.META.get("HTTP_ACCEPT", "") in PLAIN:
            return first, JSON
        return super().select_renderer(request, renderers, format_suffix)
