"""Operations of migrations: SQL for which Django has no form, one list of statements for each database."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import migrations

Statements = Mapping[str, Sequence[str]]  # by the vendor of the database


def run_statements(forwards: Statements, backwards: Statements) -> migrations.RunPython:
    """Return the operation that runs SQL. A vendor without statements is skipped."""

    def run(statements: Statements, schema_editor: Any) -> None:
        for statement in statements.get(schema_editor.connection.vendor, ()):
            schema_editor.execute(statement)

    return migrations.RunPython(
        lambda _apps, schema_editor: run(forwards, schema_editor),
        lambda _apps, schema_editor: run(backwards, schema_editor),
    )


def run_deferred_statements() -> migrations.RunPython:
    """
    Return the last operation of a migration that creates tables. It makes the tables and their record one transaction.

    Django keeps the foreign keys and indexes of new tables for the end of the transaction, and if there are any, it
    records the migration after the commit. A process that is killed between the two leaves tables without a record.
    """

    def run(_apps: Any, schema_editor: Any) -> None:
        for statement in schema_editor.deferred_sql:
            schema_editor.execute(statement, None)
        schema_editor.deferred_sql.clear()

    return migrations.RunPython(run, migrations.RunPython.noop)


def refuse_changes(table: str, name: str, message: str) -> migrations.RunPython:
    """
    Return the operation after which the database refuses to change or delete rows of a table, for every user.

    PostgreSQL fires no row trigger for TRUNCATE, so it has a second trigger. SQLite has no TRUNCATE. There, REPLACE
    fires the DELETE trigger because connections switch ``recursive_triggers`` on.
    """
    verbs = ("UPDATE", "DELETE")
    create = {
        "sqlite": [
            f"""
        CREATE TRIGGER {name}_is_not_{verb.lower()}d BEFORE {verb} ON {table}
        BEGIN SELECT RAISE(ABORT, '{message}'); END
        """
            for verb in verbs
        ],
        "postgresql": [
            f"""
        CREATE FUNCTION {name}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'restrict_violation'; END $$
        """,
            f"""
        CREATE TRIGGER {name}_is_append_only BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION {name}_is_append_only()
        """,
            f"""
        CREATE TRIGGER {name}_is_not_truncated BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {name}_is_append_only()
        """,
        ],
    }
    drop = {
        "sqlite": [f"DROP TRIGGER {name}_is_not_{verb.lower()}d" for verb in verbs],
        "postgresql": [
            f"DROP TRIGGER {name}_is_append_only ON {table}",
            f"DROP TRIGGER {name}_is_not_truncated ON {table}",
            f"DROP FUNCTION {name}_is_append_only",
        ],
    }
    return run_statements(create, drop)


def set_markers_of_writers(table: str, marker_class: int) -> migrations.RunPython:
    """
    Return the operation after which every writer of a history table sets the marker of ``school.db.ordered_tables``.

    A statement trigger runs before the rows of an INSERT or COPY get their ids. Only the first marker of a transaction
    counts, so no other is set: each takes a lock. A rollback to a savepoint undoes both the marker and the setting.
    """
    name = f"{table}_sets_marker"
    create = f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('school.{name}', true) IS DISTINCT FROM 'on' THEN
                PERFORM pg_advisory_xact_lock_shared(
                    {marker_class << 48} + last_value - CASE WHEN is_called THEN 0 ELSE 1 END
                ) FROM {table}_history_id_seq;
                PERFORM set_config('school.{name}', 'on', true);
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()
    """  # only the name of a table
    drop = f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}"
    return run_statements({"postgresql": [create]}, {"postgresql": [drop]})
