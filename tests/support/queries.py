"""Count the queries of a request."""

from django.test.utils import CaptureQueriesContext

TOKEN = 1  # the query of authentication: the token with its account


def cost_of(queries: CaptureQueriesContext) -> int:
    """Return the number of queries, without the one that counts the request for the rate limit on PostgreSQL."""
    return sum("school_count(" not in query["sql"] for query in queries)
