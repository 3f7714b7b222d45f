"""
What the middleware of libraries does for people with a browser, past which a program goes: it shows a token.

A sixth of the time of a short answer was spent on the way through these and back.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware


class PastPrograms:
    """Let a program's request go by. It has no session, no user but the token's, and asks for no file."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if "HTTP_AUTHORIZATION" in request.META and request.path_info.startswith("/api/"):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # of the library's class beside


class StaticFiles(PastPrograms, WhiteNoiseMiddleware):
    pass


class Sessions(PastPrograms, SessionMiddleware):
    pass


class Authentication(PastPrograms, AuthenticationMiddleware):
    pass


class Messages(PastPrograms, MessageMiddleware):
    pass
