"""Limits on search terms: each word becomes a condition on each column, so a long search would take too long."""

MOST_CHARACTERS = 200
MOST_WORDS = 10


def is_bounded(search: str) -> bool:
    return len(search) <= MOST_CHARACTERS and len(search.replace(",", " ").split()) <= MOST_WORDS


def bounded(search: str) -> str:
    """Return the search cut to ``MOST_CHARACTERS`` and ``MOST_WORDS``."""
    return " ".join(search[:MOST_CHARACTERS].split()[:MOST_WORDS])
