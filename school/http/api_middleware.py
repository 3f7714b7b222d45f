"""
Separate middleware for the API: requests under ``API_PREFIXES`` use ``API_MIDDLEWARE``, all others ``MIDDLEWARE``.

Django supports one list. The first entry of that list chooses between the two, so that the server and Django's test
client behave in the same way.
"""

from typing import Any

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.urls import resolve
from django.utils.module_loading import import_string


class ApiMiddleware:
    """
    Handles requests under ``API_PREFIXES`` by the middleware chain of ``API_MIDDLEWARE``.

    The chain is built like Django's own, with the hooks ``process_view`` and ``process_exception``.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.view_hooks: list[Any] = []
        self.exception_hooks: list[Any] = []
        chain = convert_exception_to_response(self.call_view)
        for path in reversed(settings.API_MIDDLEWARE):
            middleware: Any = import_string(path)(chain)
            if hasattr(middleware, "process_view"):
                self.view_hooks.insert(0, middleware.process_view)
            if hasattr(middleware, "process_exception"):
                self.exception_hooks.append(middleware.process_exception)
            chain = convert_exception_to_response(middleware)
        self.chain = chain

    def __call__(self, request: HttpRequest) -> Any:
        is_of_api = request.path_info.startswith(settings.API_PREFIXES)
        return (self.chain if is_of_api else self.get_response)(request)

    def call_view(self, request: HttpRequest) -> Any:
        """Return the response of the view for the request's path. This is the end of the middleware chain."""
        view, args, kwargs = request.resolver_match = resolve(request.path_info)
        for check in self.view_hooks:
            if (response := check(request, view, args, kwargs)) is not None:
                return response
        try:
            response = view(request, *args, **kwargs)
            return response.render() if hasattr(response, "render") else response
        except Exception as error:
            for hook in self.exception_hooks:
                if (response := hook(request, error)) is not None:
                    return response
            raise
