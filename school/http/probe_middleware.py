"""Middleware that answers the health checks and the metrics by any host name."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve

# Load balancers and Prometheus request these paths by the machine's IP address.
PROBE_PATHS = ("/health", "/health/live", "/health/ready", "/metrics")


class ProbeMiddleware:
    """Answers probes with any ``Host`` header: the middleware after this one rejects an unknown host with 400."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info.rstrip("/")
        if path not in PROBE_PATHS:
            response: HttpResponseBase = self.get_response(request)
            return response
        request.resolver_match = resolve(path)  # log entries name a request by its route
        probe_response: HttpResponseBase = request.resolver_match.func(request)
        return probe_response
