from typing import Any

from bulk.command import ImportCommand
from students.imports import StudentImporter


class Command(ImportCommand):
    help = "Add and change students from a CSV file."

    def importer(self, *, actor: Any, run_id: str) -> StudentImporter:
        return StudentImporter(user=actor, change_reason=f"import {run_id}")
