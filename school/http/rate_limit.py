"""
Limits the requests per minute of an account, and of an address without valid credentials.

Responses report the state of the caller's limit by ``RateLimit-Policy`` and ``RateLimit``
(draft-ietf-httpapi-ratelimit-headers-11, "RateLimit header fields for HTTP"). These are structured fields with the
quota ``q`` and its window ``w``, the remaining requests ``r`` and the seconds ``t`` until the window ends. A request
above the limit gets 429 with ``Retry-After`` (RFC 6585, 4).
"""

import math
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import NotSupportedError, OperationalError
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from school.http.client_ip import client_address
from school.http.rate_counter import WINDOW, count

CLIENT_POLICY = "client"


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """A caller's limit under a policy: the quota, the requests left, and the seconds until the window ends."""

    policy: str
    quota: int
    remaining: int
    seconds: int

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={WINDOW}',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={self.seconds}',
        }


class TooManyRequests(APIException):
    status_code = 429
    default_code = "too_many_requests"
    default_detail = _("Too many requests in one minute. Retry after the time in Retry-After.")

    def __init__(self, status: RateLimitStatus) -> None:
        self.wait = status.seconds
        super().__init__()


def count_account(request: Any, account_id: int) -> None:
    """Count a request of a client or a staff user, unless it is counted already; raise ``TooManyRequests``."""
    if not hasattr(_django_request(request), "is_counted"):
        _count(request, CLIENT_POLICY, f"account:{account_id}", settings.API_RATE_CLIENT)


def count_anonymous(request: Any) -> None:
    """Count a request without credentials, or for a token, by its address; raise ``TooManyRequests``."""
    _count(request, "address", f"address:{client_address(_django_request(request))}", settings.API_RATE_ANONYMOUS)


def count_failure(request: Any) -> None:
    """Count a request with invalid credentials by its address; raise ``TooManyRequests``."""
    _count(request, "failures", f"failures:{client_address(_django_request(request))}", settings.API_RATE_FAILED)


def _count(request: Any, policy: str, key: str, quota: int) -> None:
    if not quota:
        return
    try:
        taken, seconds_left = count(key, quota)
    except (OperationalError, NotSupportedError):
        # The count could not be written, for example on a full disk, or on a standby, which has no unlogged tables. The
        # request itself may still succeed.
        return
    status = RateLimitStatus(policy, quota, 0 if taken is None else quota - taken, max(math.ceil(seconds_left), 1))
    _django_request(request).rate_limit = status  # type: ignore[attr-defined]  # for the middleware
    if taken is None:
        raise TooManyRequests(status)
    _django_request(request).is_counted = True  # type: ignore[attr-defined]


def _django_request(request: Any) -> HttpRequest:
    """Return Django's own request, which the middleware sees."""
    django_request: HttpRequest = request._request if isinstance(request, Request) else request
    return django_request


class RateLimitMiddleware:
    """Adds the headers with the state of the caller's limit to a response."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        status: RateLimitStatus | None = getattr(request, "rate_limit", None)
        if status is not None:
            for name, value in status.headers().items():
                response[name] = value
        return response
