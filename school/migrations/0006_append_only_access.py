"""The record of access can only be added to: the database itself refuses to change or delete a line, whoever asks."""

from typing import Any

from django.db import migrations

MESSAGE = "The record of access to personal data is append-only."

CREATE = {
    "sqlite": [
        f"""
        CREATE TRIGGER access_is_not_{verb.lower()}d BEFORE {verb} ON school_personaldataaccess
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END
        """
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        f"""
        CREATE FUNCTION access_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation'; END $$
        """,
        """
        CREATE TRIGGER access_is_append_only BEFORE UPDATE OR DELETE ON school_personaldataaccess
        FOR EACH ROW EXECUTE FUNCTION access_is_append_only()
        """,
    ],
}
DROP = {
    "sqlite": [f"DROP TRIGGER access_is_not_{verb}d" for verb in ("update", "delete")],
    "postgresql": [
        "DROP TRIGGER access_is_append_only ON school_personaldataaccess",
        "DROP FUNCTION access_is_append_only",
    ],
}


def guard(apps: Any, schema_editor: Any) -> None:
    for statement in CREATE[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def unguard(apps: Any, schema_editor: Any) -> None:
    for statement in DROP[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("school", "0005_personal_data_access")]

    operations = [migrations.RunPython(guard, unguard)]
