"""Errors of the database that its operator mends: it does not answer, takes no writes, or refuses a right."""

from django.db import DatabaseError, OperationalError
from django.db.migrations.exceptions import MigrationSchemaMissing
from psycopg.errors import InsufficientPrivilege

NEEDS_TO_OWN = "The user of DATABASE_URL needs to own the database."


def lacks_rights(error: DatabaseError) -> bool:
    """Return True if the user of the database may not do what the statement does."""
    return isinstance(_origin(error).__cause__, InsufficientPrivilege)


def is_operational(error: DatabaseError) -> bool:
    """Return True if the state of the database or the rights of its user cause the error, and not the code."""
    return isinstance(_origin(error), OperationalError) or lacks_rights(error)


def database_failure(error: DatabaseError) -> str:
    """
    Return a sentence with the first line of a database error, and a second one if rights are missing.

    The other lines of an error quote statements and rows.
    """
    sentence = f"The database failed ({str(_origin(error)).partition(chr(10))[0]})."
    return f"{sentence} {NEEDS_TO_OWN}" if lacks_rights(error) else sentence


def _origin(error: DatabaseError) -> BaseException:
    """Return the error of the database that Django reports as a missing table of migrations, or the error itself."""
    return error.__context__ or error if isinstance(error, MigrationSchemaMissing) else error
