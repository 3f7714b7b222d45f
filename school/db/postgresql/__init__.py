"""The PostgreSQL backend, and its error for a commit whose outcome is unknown."""

from typing import Any

from django.db import OperationalError, connection


class CommitOutcomeUnknown(OperationalError):
    """The connection was lost during a commit, so it is unknown whether the transaction was committed."""


def may_be_committed(error: BaseException | None) -> bool:
    """
    Return True if a transaction of this request was committed before the error, or may have been.

    The answer to a request is read after its commit. An unanswered commit causes the error directly, or through errors
    of Django's cleanup.
    """
    current: Any = connection
    if getattr(current, "has_committed", False):
        return True
    while error is not None and not isinstance(error, CommitOutcomeUnknown):
        error = error.__cause__ or error.__context__
    return error is not None
