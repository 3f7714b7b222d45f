"""
Indexes for the search of students by parts of words: trigrams, on PostgreSQL, if the server has pg_trgm.

The expressions are those of Django's ``icontains``. Without the extension the search reads every student.
"""

from typing import Any

COLUMNS = ("student_number", "given_name", "family_name", "email")
AVAILABLE = "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"


def create(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(AVAILABLE)
        if cursor.fetchone() is None:
            return
    schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for column in COLUMNS:
        schema_editor.execute(
            f"CREATE INDEX student_search_{column} ON students_student USING gin (UPPER({column}::text) gin_trgm_ops)"
        )


def drop(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for column in COLUMNS:
            schema_editor.execute(f"DROP INDEX IF EXISTS student_search_{column}")
