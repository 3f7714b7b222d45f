"""
Protection of staff passwords and client secrets against guessing: rate limits by address, locks by name and address.

Uses django-axes. After ``LOGIN_FAILURES`` failures a name is locked for the address that they came from, until
``LOGIN_LOCK_MINUTES`` after the last failure; even correct credentials from there are rejected. Other addresses can
still log in with the name, so nobody can lock out another user.
"""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from school.accounts.session_timeout import record_login_time
from school.http.problems import too_many_attempts
from school.http.rate_limit import TooManyRequests, count_anonymous
from school.models import ApiClient

CLIENT_PREFIX = "client:"
MAX_NAME_LENGTH = 255  # the number of characters of a user name that are stored; no account has a longer name

logger = structlog.get_logger(__name__)


class LoginHandler(AxesDatabaseHandler):
    """
    Records login attempts as django-axes does, counts failures for the rate limit of the address, and logs each attempt
    by ids.
    """

    def is_allowed(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        try:
            count_anonymous(request)
        except TooManyRequests as too_many:
            request.retry_after = too_many.wait
            return False
        return bool(super().is_allowed(request, credentials))

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any) -> None:
        super().user_login_failed(sender, credentials, request, **kwargs)
        if request is not None:
            ids = _log_ids(str(credentials.get("username") or ""))
            logger.warning("login_failed", locked=bool(request.axes_locked_out), **ids)

    def user_logged_in(self, sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
        super().user_logged_in(sender, request, user, **kwargs)
        record_login_time(request)
        logger.info("logged_in", user_id=user.pk)

    def user_logged_out(self, sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
        super().user_logged_out(sender, request, user, **kwargs)
        if user is not None:  # without a user, nobody was logged in
            logger.info("logged_out", user_id=user.pk)


def change_password(request: HttpRequest, view: Callable[[], Any]) -> Any:
    """
    Run the password change ``view``, and count a wrong old password as a failed login; return 429 if locked.

    Otherwise an unattended session would allow unlimited guesses at the password.
    """
    credentials = {"username": request.user.get_username()}
    if not AxesProxyHandler.is_allowed(request, credentials):
        return lockout_response(request, None, credentials)
    response = view()
    form = (getattr(response, "context_data", None) or {}).get("form")
    if request.method == "POST" and form is not None and "old_password" in form.errors:
        user_login_failed.send(sender=change_password, credentials=credentials, request=request)
    return response


def username_of(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Return the user name of a login attempt, cut to ``MAX_NAME_LENGTH`` characters."""
    name = (credentials or {}).get("username") or request.POST.get("username") or request.POST.get("login") or ""
    return str(name)[:MAX_NAME_LENGTH]


def lockout_response(
    request: HttpRequest, original: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """Return 429 with ``Retry-After``: a problem document for programs, a page for people."""
    seconds = getattr(request, "retry_after", None) or _seconds_locked(request, credentials)
    if request.path.startswith(("/api/", "/oauth/")):
        response = too_many_attempts()
    else:
        minutes = math.ceil(seconds / 60)
        context = {**admin.site.each_context(request), "minutes": minutes, "title": _("Locked")}
        if request.path.startswith("/accounts/"):
            context["layout"] = "allauth/layouts/base.html"
        response = render(request, "school/login_locked.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response


def _seconds_locked(request: HttpRequest, credentials: dict[str, Any] | None) -> int:
    handler = AxesProxyHandler.get_implementation()
    attempts = [attempt for rows in handler.get_user_attempts(request, credentials) for attempt in rows]
    last: datetime = max((attempt.attempt_time for attempt in attempts), default=timezone.now())
    return max(math.ceil((last + settings.AXES_COOLOFF_TIME - timezone.now()).total_seconds()), 1)


def _log_ids(name: str) -> dict[str, Any]:
    """
    Return the id of the client or user with this name, as a field for the log; the id is None if there is neither.
    """
    if name.startswith(CLIENT_PREFIX):
        client_ids = ApiClient.objects.filter(client_id=name.removeprefix(CLIENT_PREFIX)).values_list(
            "client_id", flat=True
        )
        return {"client_id": client_ids.first()}
    users = get_user_model().objects.filter(username=name)
    return {"user_id": users.values_list("pk", flat=True).first()}
