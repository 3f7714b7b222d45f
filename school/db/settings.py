"""The settings of the database connections, from the variables of the environment."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import IsolationLevel

SQLITE, POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"
TRANSACTION = "transaction"
POOLERS = ("", TRANSACTION)


def database_settings(
    database: dict[str, Any],
    *,
    lock_timeout: int,
    database_timeout: int,
    max_age: int,
    pooler: str,
    prepared_statements: bool,
) -> dict[str, Any]:
    """
    Return Django's settings for the database of a URL. Raise ``ImproperlyConfigured`` for another kind of database.

    The timeouts are in seconds, 0 means no limit. ``pooler`` is the mode of the pooler in front of PostgreSQL, if any.
    """
    if pooler not in POOLERS:
        raise ImproperlyConfigured(f"POOLER must be {TRANSACTION} or empty, not {pooler!r}.")
    options = {**database.get("OPTIONS", {})}  # the URL may contain options, such as sslmode
    if database.get("ENGINE") == SQLITE:
        return {**database, **_sqlite(options, lock_timeout)}
    if database.get("ENGINE") != POSTGRESQL:
        raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgres://.")
    return {
        **database,
        "ENGINE": "school.db.postgresql",
        "CONN_MAX_AGE": max_age,
        "CONN_HEALTH_CHECKS": True,
        # A cursor outside of a transaction would be looked for on another connection to the server.
        "DISABLE_SERVER_SIDE_CURSORS": pooler == TRANSACTION,
        "OPTIONS": _postgresql_options(options, lock_timeout, database_timeout, pooler, prepared_statements),
    }


def _sqlite(options: dict[str, Any], lock_timeout: int) -> dict[str, Any]:
    options |= {
        # Take the write lock at BEGIN: a transaction that reads first and writes later
        # would otherwise fail with "database is locked" instead of waiting.
        "transaction_mode": "IMMEDIATE",
        "timeout": lock_timeout or 20,
        # With recursive triggers, REPLACE fires the triggers that protect the journal and the record of access. With
        # secure_delete, deleted or changed data is overwritten with zeros.
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA recursive_triggers=ON; PRAGMA secure_delete=ON;"
        ),
    }
    # Keep connections open: closing the last one deletes the write-ahead log, and on a full disk the database could
    # not be opened again, not even for reading.
    return {"ENGINE": "school.db.sqlite", "CONN_MAX_AGE": None, "OPTIONS": options}


def _postgresql_options(
    options: dict[str, Any], lock_timeout: int, database_timeout: int, pooler: str, prepared_statements: bool
) -> dict[str, Any]:
    # With None, psycopg prepares no statement, not even one executed with prepare=True.
    options["prepare_threshold"] = 0 if prepared_statements else None
    # Seats are counted after the lock is acquired, and the count must see all rows committed by then. So the isolation
    # level does not depend on the server's default.
    options["isolation_level"] = IsolationLevel.READ_COMMITTED
    # Detects within a minute a server that disappeared without closing the connection, also without a timeout.
    for name, value in {"idle": 30, "interval": 10, "count": 3}.items():
        options.setdefault(f"keepalives_{name}", value)
    options.setdefault("tcp_user_timeout", 60_000)
    # The server cancels a statement half a second before the client stops waiting, so that the client gets the server's
    # error. The client's own timeout applies only if the server does not respond.
    limits = {"lock_timeout": lock_timeout * 1000, "statement_timeout": max(database_timeout * 1000 - 500, 0)}
    limits = {name: milliseconds for name, milliseconds in limits.items() if milliseconds}
    if pooler == TRANSACTION:
        # A pooler refuses or ignores ``options``, and a SET would stay on a connection that others use next.
        options["transaction_limits"] = limits
    else:
        set_options = [f"-c {name}={milliseconds}" for name, milliseconds in limits.items()]
        # One plan fits all values of prepared statements. Memoize costs more than it saves for small pages.
        set_options += ["-c plan_cache_mode=force_generic_plan", "-c enable_memoize=off"]
        options["options"] = " ".join([options.get("options", ""), *set_options]).strip()
    if database_timeout:
        options["wait_budget"] = database_timeout
    return options
