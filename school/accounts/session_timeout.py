"""Staff sessions: renewed while the user is active, and ended a fixed time after the login in any case."""

import time
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest

BEGAN, SEEN = "began", "seen"
RENEWED_EVERY = 300  # seconds: to renew the session at each request would write to the database for each page


def begin(request: HttpRequest) -> None:
    """Store the current time in the session as the time of its login."""
    request.session[BEGAN] = int(time.time())


def is_over(request: HttpRequest) -> bool:
    """Return True if the login of the session was ``SESSION_HOURS`` ago or more, or at an unknown time."""
    return time.time() - request.session.get(BEGAN, 0) >= settings.SESSION_HOURS * 3600


class SessionsEndMiddleware:
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
        if is_over(request):
            logout(request)
        elif now - session.get(SEEN, 0) >= RENEWED_EVERY:
            session[SEEN] = now
