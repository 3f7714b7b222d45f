from typing import Any

from bulk.command import ImportCommand
from students.acts import Origin
from students.imports import StudentImporter
from students.models import Channel


class Command(ImportCommand):
    help = "Add and change students from a CSV file."

    def importer(self, *, actor: Any, run_id: str, **options: Any) -> StudentImporter:
        origin = Origin(Channel.IMPORT, actor_id=actor and actor.pk, request_id=run_id)
        return StudentImporter(origin, user=actor, change_reason=f"import {run_id}")
