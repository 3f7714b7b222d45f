"""Temporary tables for data that may be too large for memory."""

import sqlite3

CACHE_KILOBYTES = 32_000  # the size of the table in memory, in kilobytes


def scratch_table(definition: str) -> sqlite3.Connection:
    """
    Return a connection to a temporary SQLite database with one table, which lives as long as the connection.

    ``definition`` has the table's name and columns, with a primary key. Data that does not fit in memory is in a file
    that SQLite creates for its owner alone and deletes as soon as it is open.
    """
    database = sqlite3.connect("")
    database.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")
    database.execute(f"CREATE TABLE {definition} WITHOUT ROWID")
    return database
