"""
In which language School speaks: to people in theirs, to programs in English.

What is kept, the report of an import for example, is written in English too: who reads it may be a program.
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override

# What is under these is for programs, or for who writes them.
ENGLISH = ("/api/", "/oauth/", "/problems/", "/health", "/metrics")


class LanguageMiddleware:
    """
    Show pages in the language that was chosen in the admin, else in one that the browser asks for.

    Django's own would speak it to programs too, and leaves it behind for the next request of the thread.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.is_english = settings.LANGUAGE_CODE == "en"

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(ENGLISH):
            if self.is_english:  # as it is anyway
                return self.get_response(request)
            with override("en"):
                return self.get_response(request)
        language = get_language_from_request(request)
        with override(language):
            request.LANGUAGE_CODE = language
            response: Any = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language",))
        return response
