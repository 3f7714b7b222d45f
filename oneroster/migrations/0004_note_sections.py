"""The trigger on courses also notes a change of the section."""

from typing import Any

from django.db import migrations

NOTED = ("code", "name", "term_id")


def replace_trigger(schema_editor: Any, columns: tuple[str, ...]) -> None:
    if schema_editor.connection.vendor == "sqlite":
        differs = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in columns)
        drop = "DROP TRIGGER oneroster_course_changed"
        action = "BEGIN INSERT INTO oneroster_touched (kind, source_id) VALUES ('course', NEW.id); END"
        header = "CREATE TRIGGER oneroster_course_changed AFTER UPDATE ON courses_course"
        create = f"{header} WHEN {differs} {action}"
    else:
        differs = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
        drop = "DROP TRIGGER oneroster_course_changed ON courses_course"
        create = f"""
            CREATE TRIGGER oneroster_course_changed AFTER UPDATE ON courses_course
            FOR EACH ROW WHEN ({differs}) EXECUTE FUNCTION oneroster_note_course()
        """
    schema_editor.execute(drop)
    schema_editor.execute(create)


def note_sections(apps: Any, schema_editor: Any) -> None:
    replace_trigger(schema_editor, (*NOTED, "section"))


def ignore_sections(apps: Any, schema_editor: Any) -> None:
    replace_trigger(schema_editor, NOTED)


class Migration(migrations.Migration):
    dependencies = [
        ("oneroster", "0003_longer_class_titles"),
        ("courses", "0009_course_section"),
    ]

    operations = [migrations.RunPython(note_sections, ignore_sections)]
