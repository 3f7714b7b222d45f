"""
Student numbers and names are stored in Unicode's NFC, the domains of email addresses in lower case too.

The migration stops where two student numbers or two email addresses would become one.
"""

from typing import Any

from django.db import migrations

from school.migration_helpers import Row, normalize_rows, refuse_clashes
from school.text_normalization import normalized, normalized_email

NAMES = ("student_number", "given_name", "family_name")


def normalize(apps: Any, schema_editor: Any) -> None:
    student = apps.get_model("students", "Student")
    refuse_clashes(student, normalized, "student_number")
    refuse_clashes(student, lambda email: normalized_email(email).lower(), "email")
    for name in ("Student", "HistoricalStudent"):
        normalize_rows(apps.get_model("students", name), [*NAMES, "email"], _student)


def _student(row: Row) -> Row:
    wanted = {name: normalized(row[name]) for name in NAMES}
    if not (wanted["given_name"] or wanted["family_name"]) and (row["given_name"] or row["family_name"]):
        # Names of invisible characters only would be empty. The number is something that people can see.
        wanted["family_name"] = wanted["student_number"]
    return {**wanted, "email": normalized_email(row["email"])}


class Migration(migrations.Migration):
    dependencies = [("students", "0021_people_with_one_name")]

    operations = [migrations.RunPython(normalize, migrations.RunPython.noop)]
