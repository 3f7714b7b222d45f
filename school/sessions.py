"""Sessions of staff: they go on while somebody is at work, and end some hours after the login all the same."""

import time
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest

BEGAN, SEEN = "began", "seen"
RENEWED_EVERY = 300  # seconds: a session that was written at each request would be a write for each page


class SessionsEndMiddleware:
    """
    Renew the session of who is at work in the admin, and log out whose time is over.

    Django ends a session that was not written for ``SESSION_COOKIE_AGE``. Over the API none is ever renewed.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(("/admin/", "/accounts/")) and request.user.is_authenticated:
            self._renew_or_end(request)
        return self.get_response(request)

    def _renew_or_end(self, request: HttpRequest) -> None:
        now, session = int(time.time()), request.session
        if now - session.setdefault(BEGAN, now) >= settings.SESSION_HOURS * 3600:
            logout(request)
        elif now - session.get(SEEN, 0) >= RENEWED_EVERY:
            session[SEEN] = now
