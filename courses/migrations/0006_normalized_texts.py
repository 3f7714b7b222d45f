"""Codes and names are stored in Unicode's NFC. The migration stops where two codes would become one."""

from typing import Any

from django.db import migrations

from school.migration_helpers import Row, normalize_rows, refuse_clashes
from school.text_normalization import normalized


def normalize(apps: Any, schema_editor: Any) -> None:
    term, course = apps.get_model("courses", "Term"), apps.get_model("courses", "Course")
    refuse_clashes(term, normalized, "code")
    refuse_clashes(course, lambda code, term_id: (normalized(code), term_id), "code", "term_id")
    for name in ("Term", "HistoricalTerm"):
        normalize_rows(apps.get_model("courses", name), ["code", "name"], _texts)
    for name in ("Course", "HistoricalCourse"):
        normalize_rows(apps.get_model("courses", name), ["code", "name", "prerequisites"], _course)


def _texts(row: Row) -> Row:
    return {"code": normalized(row["code"]), "name": normalized(row["name"])}


def _course(row: Row) -> Row:
    return {**_texts(row), "prerequisites": [normalized(code) for code in row["prerequisites"]]}


class Migration(migrations.Migration):
    dependencies = [("courses", "0005_plain_names")]

    operations = [migrations.RunPython(normalize, migrations.RunPython.noop)]
