"""The SQLite back end, and private copies of a database."""
