from typing import Any

from bulk.command import ImportCommand
from students.enrollment import Origin
from students.imports import EnrollmentImporter
from students.models import Channel


class Command(ImportCommand):
    help = "Enroll, drop and complete from a CSV file that says how each student stands in each course."

    def importer(self, *, actor: Any, run_id: str) -> EnrollmentImporter:
        return EnrollmentImporter(Origin(Channel.IMPORT, actor_id=actor and actor.pk, request_id=run_id))
