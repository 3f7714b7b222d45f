"""Renews the session of an active staff user, and ends each session a fixed time after the login."""

import time
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest

LOGIN_TIME_KEY, LAST_ACTIVE_KEY = "began", "seen"
RENEWAL_INTERVAL = 300  # seconds between two renewals; each renewal writes to the database


def record_login_time(request: HttpRequest) -> None:
    """Store the current time in the session as the time of its login."""
    request.session[LOGIN_TIME_KEY] = int(time.time())


def is_expired(request: HttpRequest) -> bool:
    """Return True if the login of the session was ``SESSION_HOURS`` ago or more, or at an unknown time."""
    return time.time() - request.session.get(LOGIN_TIME_KEY, 0) >= settings.SESSION_HOURS * 3600


class SessionTimeoutMiddleware:
    """
    Renews the session of a user who is active in the admin, and logs out a session that is over.

    Django ends a session that was not saved for ``SESSION_COOKIE_AGE``. API requests never renew a session;
    ``StaffAuthentication`` rejects one that is over.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(("/admin/", "/accounts/")) and request.user.is_authenticated:
            self._renew_or_end(request)
        return self.get_response(request)

    def _renew_or_end(self, request: HttpRequest) -> None:
        now, session = int(time.time()), request.session
        if is_expired(request):
            logout(request)
        elif now - session.get(LAST_ACTIVE_KEY, 0) >= RENEWAL_INTERVAL:
            session[LAST_ACTIVE_KEY] = now
