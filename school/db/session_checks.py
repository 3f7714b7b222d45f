"""Checks of the session that PostgreSQL has given to this connection."""

from django.conf import settings
from django.db import connection

READ_ONLY = "read-only"
WITHOUT_OPTIONS = "pooler drops options"
POOLER_DROPS_OPTIONS = (
    "The options of the connection, among them its timeouts, do not reach the database: a pooler drops them. "
    "Set POOLER=transaction, or connect directly."
)


def session_fault() -> str:
    """
    Return the fault of the session, ``READ_ONLY`` or ``WITHOUT_OPTIONS``; "" if there is none.

    A read-only session is one of a standby or a demoted primary. Its connection is closed, because a new one may lead
    to the primary. Raise ``DatabaseError`` if the database does not answer.
    """
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_read_only'), current_setting('plan_cache_mode')")
        read_only, plan_cache_mode = cursor.fetchone()
    if read_only == "on":
        if not connection.in_atomic_block:
            connection.close()
        return READ_ONLY
    # This is the one option that is set for every connection.
    return "" if settings.POOLER or plan_cache_mode == "force_generic_plan" else WITHOUT_OPTIONS
