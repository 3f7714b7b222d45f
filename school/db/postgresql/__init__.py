"""PostgreSQL backend for requests that must not wait without a limit."""

from django.db import OperationalError


class CommitOutcomeUnknown(OperationalError):
    """The server went away during a commit: it is not known whether the work is done."""


def is_commit_outcome_unknown(error: BaseException | None) -> bool:
    """Return True if an unanswered commit caused the error. Django's cleanup after it can raise other errors."""
    while error is not None and not isinstance(error, CommitOutcomeUnknown):
        error = error.__cause__ or error.__context__
    return error is not None
