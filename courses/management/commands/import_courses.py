from typing import Any

from bulk.command import ImportCommand
from courses.imports import CourseImporter


class Command(ImportCommand):
    help = "Add and change courses from a CSV file."

    def importer(self, *, actor: Any, run_id: str) -> CourseImporter:
        return CourseImporter(user=actor, change_reason=f"import {run_id}")
