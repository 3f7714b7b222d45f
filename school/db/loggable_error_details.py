"""
Returns the details of a database error, for the log, that contain no values of rows.

PostgreSQL reports the SQLSTATE and the constraint. SQLite reports its own error name, and in its message either the
constraint or the columns. PostgreSQL's messages quote values of the row and are never used.
"""

import re
import sqlite3

_SQLITE_MESSAGE = re.compile(r"(?:UNIQUE|CHECK) constraint failed: (?:index '(?P<index>\w+)'|(?P<rest>[\w., ]+))")


def error_details(error: BaseException | None) -> dict[str, str]:
    """Return an error's type, SQLSTATE and constraint for a log, without its text. Unknown details are left out."""
    if error is None:
        return {}
    details = {
        "exception_type": type(error).__name__,
        "sqlstate": sqlstate_of(error),
        "constraint": constraint_name_of(error),
    }
    return {name: value for name, value in details.items() if value}


def sqlstate_of(error: BaseException) -> str:
    """Return the SQLSTATE of PostgreSQL or the error name of SQLite; "" if there is neither."""
    cause = error.__cause__
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or "")


def constraint_name_of(error: BaseException) -> str:
    """
    Return the name of the violated constraint; "" if there is none.

    For a plain unique constraint, SQLite reports the columns instead.
    """
    cause = error.__cause__
    if isinstance(cause, sqlite3.IntegrityError):
        match = _SQLITE_MESSAGE.fullmatch(str(cause))
        return (match["index"] or match["rest"]) if match else ""
    return str(getattr(getattr(cause, "diag", None), "constraint_name", None) or "")
