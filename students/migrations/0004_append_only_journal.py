"""The journal can only be added to: the database itself refuses to change or delete an entry, whoever asks."""

from typing import Any

from django.db import migrations

MESSAGE = "The journal of enrollments is append-only."

CREATE = {
    "sqlite": [
        f"""
        CREATE TRIGGER journal_is_not_{verb.lower()}d BEFORE {verb} ON students_enrollmentevent
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END
        """
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        f"""
        CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation'; END $$
        """,
        """
        CREATE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE ON students_enrollmentevent
        FOR EACH ROW EXECUTE FUNCTION journal_is_append_only()
        """,
    ],
}
DROP = {
    "sqlite": [f"DROP TRIGGER journal_is_not_{verb}d" for verb in ("update", "delete")],
    "postgresql": [
        "DROP TRIGGER journal_is_append_only ON students_enrollmentevent",
        "DROP FUNCTION journal_is_append_only",
    ],
}


def guard(apps: Any, schema_editor: Any) -> None:
    for statement in CREATE[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def unguard(apps: Any, schema_editor: Any) -> None:
    for statement in DROP[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("students", "0003_waitlist_and_waivers")]

    operations = [migrations.RunPython(guard, unguard)]
