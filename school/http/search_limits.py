"""Limits on search terms: each word becomes a condition on each column, so a long search would take too long."""

MAX_CHARACTERS = 200
MAX_WORDS = 10


def is_within_limits(search: str) -> bool:
    return len(search) <= MAX_CHARACTERS and len(search.replace(",", " ").split()) <= MAX_WORDS


def truncate_search(search: str) -> str:
    """Return the search cut to ``MAX_CHARACTERS`` and ``MAX_WORDS``."""
    return " ".join(search[:MAX_CHARACTERS].split()[:MAX_WORDS])
