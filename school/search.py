"""How much may be searched for: every word is a condition on every column, and a long search would not end."""

MOST_CHARACTERS = 200
MOST_WORDS = 10


def is_bounded(search: str) -> bool:
    return len(search) <= MOST_CHARACTERS and len(search.replace(",", " ").split()) <= MOST_WORDS


def bounded(search: str) -> str:
    """Return as much of a search as may be searched for."""
    return " ".join(search[:MOST_CHARACTERS].split()[:MOST_WORDS])
