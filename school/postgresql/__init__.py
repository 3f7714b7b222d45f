"""PostgreSQL for requests that may not wait for ever."""

from django.db import OperationalError


class Unanswered(OperationalError):
    """The server went away while it committed: whether the work is done is not known."""
