"""The PostgreSQL backend, and its error for a commit whose outcome is unknown."""

from django.db import OperationalError


class CommitOutcomeUnknown(OperationalError):
    """The connection was lost during a commit, so it is unknown whether the transaction was committed."""


def is_commit_outcome_unknown(error: BaseException | None) -> bool:
    """Return True if an unanswered commit caused the error. Django's cleanup after it can raise other errors."""
    while error is not None and not isinstance(error, CommitOutcomeUnknown):
        error = error.__cause__ or error.__context__
    return error is not None
