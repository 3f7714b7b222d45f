"""
Guessing at passwords of staff and at secrets of clients: slowed by address, locked by name and address (django-axes).

After ``LOGIN_FAILURES`` failures a name is locked for the address that they came from, for ``LOGIN_LOCK_MINUTES`` after
the last of them, and even what is right is refused there. From elsewhere the name is as open as before: nobody locks
out somebody else.
"""

import math
from datetime import datetime
from typing import Any

import structlog
from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from school.api.problems import too_many_attempts
from school.api.throttling import TooManyRequests, count_stranger
from school.models import ApiClient

CLIENT = "client:"
LONGEST = 255  # characters of a name that are kept: more has no name

logger = structlog.get_logger(__name__)


class LoginHandler(AxesDatabaseHandler):
    """Count each attempt against its address too, and tell of failures by ids."""

    def is_allowed(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        try:
            count_stranger(request)
        except TooManyRequests as too_many:
            request.come_back_in = too_many.wait
            return False
        return bool(super().is_allowed(request, credentials))

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any) -> None:
        super().user_login_failed(sender, credentials, request, **kwargs)
        if request is not None:
            ids = _ids_of(str(credentials.get("username") or ""))
            logger.warning("login_failed", locked=bool(request.axes_locked_out), **ids)


def name_in(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Return the name that somebody wants to come in by, as far as it can be kept."""
    given = (credentials or {}).get("username") or request.POST.get("username") or request.POST.get("login") or ""
    return str(given)[:LONGEST]


def locked_out(
    request: HttpRequest, original: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """Answer 429 and when to come back: with a problem to programs, with a page to people."""
    seconds = getattr(request, "come_back_in", None) or _seconds_locked(request, credentials)
    if request.path.startswith(("/api/", "/oauth/")):
        response = too_many_attempts()
    else:
        minutes = math.ceil(seconds / 60)
        context = {**admin.site.each_context(request), "minutes": minutes, "title": _("Locked")}
        if request.path.startswith("/accounts/"):
            context["layout"] = "allauth/layouts/base.html"
        response = render(request, "school/locked.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response


def _seconds_locked(request: HttpRequest, credentials: dict[str, Any] | None) -> int:
    handler = AxesProxyHandler.get_implementation()
    attempts = [attempt for rows in handler.get_user_attempts(request, credentials) for attempt in rows]
    last: datetime = max((attempt.attempt_time for attempt in attempts), default=timezone.now())
    return max(math.ceil((last + settings.AXES_COOLOFF_TIME - timezone.now()).total_seconds()), 1)


def _ids_of(name: str) -> dict[str, Any]:
    """Return the id of whom a name is the name of, which the log may have; of nobody's name nothing."""
    if name.startswith(CLIENT):
        known = ApiClient.objects.filter(client_id=name.removeprefix(CLIENT)).values_list("client_id", flat=True)
        return {"client_id": known.first()}
    users = get_user_model().objects.filter(username=name)
    return {"user_id": users.values_list("pk", flat=True).first()}
