"""
Removes erased data from the files of the database.

A database keeps changed and deleted data in its files until the space is used again: SQLite in free pages and in its
log, PostgreSQL in dead rows and in free space behind them. Scrubbing rewrites the tables that an erasure changes.
"""

from axes.models import AccessAttempt, AccessFailureLog
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django_tasks_db.models import DBTaskResult

from bulk.models import FileChunk, Import, OutcomePage
from school.models import CachedValue, KeptAnswer
from students.models import RefusedAct, Student
from students.privacy.data_copies import histories

REWRITTEN_MODELS = (
    *(Student, RefusedAct, Import, FileChunk, OutcomePage, LogEntry, Session),
    *(KeptAnswer, CachedValue, AccessAttempt, AccessFailureLog, DBTaskResult),
)
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
            cursor.execute("SET statement_timeout = 0")
            try:
                for model in (*REWRITTEN_MODELS, *(versions.model for versions in histories())):
                    cursor.execute(f"VACUUM (FULL, ANALYZE) {connection.ops.quote_name(model._meta.db_table)}")
            finally:
                cursor.execute("RESET statement_timeout")
    except OperationalError:
        return False
    return True


def truncate_log() -> bool:
    """
    Move the content of SQLite's write-ahead log into the database and empty it.

    Return False if a reader prevents it. No transaction may be open.
    """
    with connection.cursor() as cursor:
        [is_busy, *_pages] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy
