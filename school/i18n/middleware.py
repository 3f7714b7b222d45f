"""
The language of responses: the user's language for pages, English for programs.

Stored texts, such as the report of an import, are written in English too, because programs may read them.
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override

# Responses under these prefixes are always in English: they are for programs, or for developers of programs.
ENGLISH_PREFIXES = ("/api/", "/oauth/", "/ims/", "/problems/", "/health", "/metrics")


class LanguageMiddleware:
    """
    Serve pages in the language chosen in the admin, else in one that the browser requests.

    Django's LocaleMiddleware would translate API responses too, and leaves the language active for the next request of
    the thread.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.is_english = settings.LANGUAGE_CODE == "en"

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(ENGLISH_PREFIXES):
            if self.is_english:  # the default language is active already
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
