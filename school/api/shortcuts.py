"""
Ways past Django's views, for what programs ask for all day.

A route names the shortcuts of its view by method, and the middleware tries them before anything that is there for
people with a browser has its turn: half of the time of a short answer went into that and into the way to the view. What
a shortcut does not answer goes on to the view, as everything else does, and a test holds both to the same answer.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from school.api.grants import Grant, bind_caller, grant_shown, shows_token
from school.api.negotiation import PLAIN
from school.api.problems import answer_to
from school.api.throttling import TooManyRequests, count_account

View = Callable[..., HttpResponseBase]


class Shortcut(Protocol):
    """Something that answers some of the requests of one method."""

    def answer(self, request: HttpRequest, arguments: Mapping[str, str]) -> HttpResponse | None:
        """Return an answer, or raise what a view would; None, and nothing changed, for what goes on to the view."""


class Found(NamedTuple):
    """Where a request leads, as far as the log and the metrics want to know it of Django's ``ResolverMatch``."""

    route: str
    kwargs: Mapping[str, Any]


def admit(request: HttpRequest, scope: str) -> Grant | None:
    """Return what the caller may, and count the request as taken; None where no shortcut may answer it."""
    if request.META.get("HTTP_ACCEPT", "") not in PLAIN:
        return None
    grant = grant_shown(request)
    if grant is None or grant.limits is not None or scope not in grant.scopes:
        return None
    try:
        count_account(request, grant.account.pk)
    except TooManyRequests:
        return None  # the general way will say so
    bind_caller(grant)
    return grant


def with_shortcuts(view: View, **shortcuts: Shortcut) -> View:
    """Return a view that has a shortcut for some methods."""
    view.shortcuts = shortcuts  # type: ignore[attr-defined]  # for the middleware
    return view


class ShortcutMiddleware:
    """Answer by a shortcut what one answers."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return (shows_token(request) and self._answer(request)) or self.get_response(request)

    def _answer(self, request: HttpRequest) -> HttpResponse | None:
        for pattern, shortcuts in self.routes:
            shortcut = shortcuts.get(request.method or "")
            if shortcut and (match := pattern.match(request.path_info[1:])):
                arguments: Any = match[2]
                request.resolver_match = Found(str(pattern), arguments)  # type: ignore[assignment]  # all that is asked
                try:
                    return shortcut.answer(request, arguments)
                except Exception as error:
                    answer = answer_to(request, error)
                    if answer is None:
                        raise
                    return answer
        return None

    @cached_property
    def routes(self) -> list[tuple[RoutePattern, Mapping[str, Shortcut]]]:
        """The routes that have shortcuts, looked up at the first request: the addresses need the views."""
        return [
            (RoutePattern(route, is_endpoint=True), view.shortcuts)
            for route, view in _routes(get_resolver())
            if hasattr(view, "shortcuts")
        ]


def _routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every route with its view."""
    for each in resolver.url_patterns:
        route = f"{prefix}{each.pattern}"
        if isinstance(each, URLResolver):
            yield from _routes(each, route)
        else:
            yield route, each.callback
