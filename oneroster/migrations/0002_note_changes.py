"""Triggers note each change that is to be published, whoever makes it."""

from typing import Any

from django.db import migrations

# For each table: the kind, the columns that a note has, and the columns whose change is noted.
TABLES = {
    "courses_term": ("term", "id", ("name", "starts_on", "ends_on")),
    "courses_course": ("course", "id", ("code", "name", "term_id")),
    "students_student": (
        "student",
        "id",
        ("student_number", "given_name", "family_name", "email", "is_active", "erased_at"),
    ),
    "courses_coursestaff": ("staff", "course_id, user_id", ("course_id", "user_id")),
    "auth_user": ("account", "id", ("username", "first_name", "last_name", "email", "is_active")),
}


def insert(kind: str, columns: str, row: str) -> str:
    names = ", ".join(["kind", "source_id", "account_id"][: 2 + columns.count(",")])
    values = ", ".join(f"{row}.{column}" for column in columns.split(", "))
    return f"INSERT INTO oneroster_touched ({names}) VALUES ('{kind}', {values})"  # noqa: S608  # only names


def sqlite() -> list[str]:
    statements = []
    for table, (kind, columns, shown) in TABLES.items():
        differs = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in shown)
        old, new = insert(kind, columns, "OLD"), insert(kind, columns, "NEW")
        former = "" if columns == "id" else f"{old}; "
        statements += [
            f"CREATE TRIGGER oneroster_{kind}_added AFTER INSERT ON {table} BEGIN {new}; END",
            f"CREATE TRIGGER oneroster_{kind}_changed AFTER UPDATE ON {table} WHEN {differs} BEGIN {former}{new}; END",
            f"CREATE TRIGGER oneroster_{kind}_deleted AFTER DELETE ON {table} BEGIN {old}; END",
        ]
    return statements


def postgresql() -> list[str]:
    statements = []
    for table, (kind, columns, shown) in TABLES.items():
        differs = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in shown)
        old, new = insert(kind, columns, "OLD"), insert(kind, columns, "NEW")
        former = "TG_OP = 'DELETE'" if columns == "id" else "TG_OP <> 'INSERT'"
        statements += [
            f"""
            CREATE FUNCTION oneroster_note_{kind}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {former} THEN {old}; END IF;
                IF TG_OP <> 'DELETE' THEN {new}; END IF;
                RETURN NULL;
            END $$
            """,
            f"""
            CREATE TRIGGER oneroster_{kind}_added AFTER INSERT OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION oneroster_note_{kind}()
            """,
            f"""
            CREATE TRIGGER oneroster_{kind}_changed AFTER UPDATE ON {table}
            FOR EACH ROW WHEN ({differs}) EXECUTE FUNCTION oneroster_note_{kind}()
            """,
        ]
    return statements


def create(apps: Any, schema_editor: Any) -> None:
    statements = sqlite() if schema_editor.connection.vendor == "sqlite" else postgresql()
    for statement in statements:
        schema_editor.execute(statement)


def drop(apps: Any, schema_editor: Any) -> None:
    on_sqlite = schema_editor.connection.vendor == "sqlite"
    for table, (kind, _columns, _shown) in TABLES.items():
        for verb in ("added", "changed", "deleted") if on_sqlite else ("added", "changed"):
            schema_editor.execute(f"DROP TRIGGER oneroster_{kind}_{verb}{'' if on_sqlite else f' ON {table}'}")
        if not on_sqlite:
            schema_editor.execute(f"DROP FUNCTION oneroster_note_{kind}")


class Migration(migrations.Migration):
    dependencies = [
        ("oneroster", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("students", "0028_plain_texts"),
    ]

    operations = [migrations.RunPython(create, drop)]
