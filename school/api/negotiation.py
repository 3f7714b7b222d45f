"""Content negotiation of the API by ``format`` and ``Accept``."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from school.http.problems import CONTENT_TYPE


class ContentNegotiation(DefaultContentNegotiation):
    """
    DRF's choice of the renderer, with two exceptions.

    A request that accepts anything gets the view's first renderer at once. A client that accepts problems also accepts
    JSON: problems are the only bodies of some operations, so a client may name only their media type.
    """

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        if request.META.get("HTTP_ACCEPT", "*/*") == "*/*":
            return renderers[0], renderers[0].media_type
        return super().select_renderer(request, renderers, format_suffix)

    def get_accept_list(self, request: Request) -> list[str]:
        return [each.replace(CONTENT_TYPE, JSONRenderer.media_type) for each in super().get_accept_list(request)]
