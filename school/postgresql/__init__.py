"""PostgreSQL for requests that may not wait for ever."""

from django.db import OperationalError


class Unanswered(OperationalError):
    """The server went away while it committed: whether the work is done is not known."""


def is_unanswered(error: BaseException | None) -> bool:
    """Tell whether an error came of a commit without an answer: Django meets others while it cleans up behind it."""
    while error is not None and not isinstance(error, Unanswered):
        error = error.__cause__ or error.__context__
    return error is not None
