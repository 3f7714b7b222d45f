"""Counting the queries of a request."""

from django.test.utils import CaptureQueriesContext

TOKEN = 1  # what a request asks to know whose it is: the token, with its account


def cost_of(queries: CaptureQueriesContext) -> int:
    """Return how many queries there were, but for the one by which PostgreSQL counts the request itself."""
    return sum("school_count(" not in query["sql"] for query in queries)
