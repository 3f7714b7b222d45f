"""Limits on search terms: each word becomes a condition on each column, so a long search would take too long."""

from typing import Any

from django.http import HttpRequest

MAX_CHARACTERS = 200
MAX_WORDS = 10


def is_within_limits(search: str) -> bool:
    return len(search) <= MAX_CHARACTERS and len(search.replace(",", " ").split()) <= MAX_WORDS


def truncate_search(search: str) -> str:
    """Return the search cut to ``MAX_CHARACTERS`` and ``MAX_WORDS``."""
    return " ".join(search[:MAX_CHARACTERS].split()[:MAX_WORDS])


def truncate_searches(request: HttpRequest) -> None:
    """Cut long search terms in requests to the admin, including pages of libraries, to the first words."""
    for name in ("q", "term", "s"):
        if not is_within_limits(request.GET.get(name, "")):
            query: Any = request.GET.copy()
            query[name] = truncate_search(query[name])
            request.GET = query
            request.META["QUERY_STRING"] = query.urlencode()
