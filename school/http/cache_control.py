"""Middleware that keeps API responses out of shared caches."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase


class CacheControlMiddleware:
    """
    Sets ``Cache-Control: private, no-cache`` on responses of the API and of OneRoster.

    No shared cache may store them, and a client must revalidate its copy by ``If-None-Match`` (RFC 9111, 5.2.2.4 and
    5.2.2.7).
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        if request.path_info.startswith(("/api/v1/", "/ims/")):
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response
