"""
Removes erased data from the files of the database, by VACUUM.

A database keeps changed and deleted data in its files until the space is used again: SQLite in free pages and in its
log, PostgreSQL in dead rows and in free space behind them, also those of its statistics, which contain frequent values
of each column. Scrubbing rewrites the tables that an erasure changes, and their statistics.
"""

from contextlib import suppress
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import OperationalError, ProgrammingError, connection
from django.db.models import CharField, Model, TextField

from bulk.models import FileChunk, Import, OutcomePage
from school.models import CachedValue, KeptAnswer
from students.models import RefusedAct, Student
from students.privacy.transient_copies import histories

REWRITTEN_MODELS = (
    *(Student, RefusedAct, Import, FileChunk, OutcomePage, LogEntry, Session),
    *(KeptAnswer, CachedValue, AccessAttempt, AccessFailureLog),
)
STATISTICS = "pg_catalog.pg_statistic"  # only the owner of the database can rewrite them
DATABASE_IN_USE = "The database is in use: its files may still have erased data. Run manage.py scrub_database later."


def scrub() -> bool:
    """
    Rewrite the tables that an erasure changes. Return False if the database is in use.

    Must not be called in a transaction. On SQLite this takes the time and the space of a copy of the file. On
    PostgreSQL it takes those of a copy of the tables, each of which is locked while it is rewritten.
    """
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("VACUUM")
                return truncate_log()
            if not settings.POOLER:  # a pooler's connections have no timeout, and would keep this setting
                cursor.execute("SET statement_timeout = 0")
            try:
                for model in (*REWRITTEN_MODELS, *(versions.model for versions in histories())):
                    cursor.execute(f"VACUUM (FULL, ANALYZE) {connection.ops.quote_name(model._meta.db_table)}")
                    if not model._base_manager.exists():
                        _delete_statistics(cursor, model)
                cursor.execute(f"VACUUM (FULL) {STATISTICS}")
            finally:
                if not settings.POOLER:
                    cursor.execute("RESET statement_timeout")
    except OperationalError:
        return False
    return True


def _delete_statistics(cursor: Any, model: type[Model]) -> None:
    """
    Delete the statistics of an empty table, which ANALYZE keeps.

    A column loses its statistics when it gets a type, even if that is the type that it has. A role that does not own
    the table cannot do that, nor VACUUM, which only warns.
    """
    for field in model._meta.local_fields:
        if isinstance(field, (CharField, TextField)):
            names = (connection.ops.quote_name(str(each)) for each in (model._meta.db_table, field.column))
            with suppress(ProgrammingError):
                cursor.execute("ALTER TABLE {} ALTER COLUMN {} TYPE {}".format(*names, field.db_type(connection)))


def truncate_log() -> bool:
    """
    Move the content of SQLite's write-ahead log into the database and empty it.

    Return False if a reader prevents it. No transaction may be open.
    """
    with connection.cursor() as cursor:
        [is_busy, *_pages] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy
