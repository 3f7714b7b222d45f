"""Command that gives free seats to waitlisted students."""

from typing import Any

from school.commands.console import SafeCommand
from school.observability.logging import current_request_id
from students.enrollment import promote
from students.enrollment.commands import ActorContext
from students.models import Channel, StudentCourse

CHUNK = 100  # the number of courses that are locked at a time


class Command(SafeCommand):
    help = "Give free seats to waitlisted students of courses whose enrollment has opened since."
    examples = ("promote_waitlists",)
    interrupted_message = "Seats that were given away stay. Run the command again to continue."

    def handle(self, **options: Any) -> None:
        waitlisted_courses = (
            StudentCourse.objects.waitlisted().order_by("course").values_list("course", flat=True).distinct()
        )
        actor = ActorContext(Channel.COMMAND, request_id=current_request_id())
        course_ids = list(waitlisted_courses)
        promoted = 0
        for start in range(0, len(course_ids), CHUNK):
            promoted += len(promote(course_ids[start : start + CHUNK], actor=actor))
        self.stdout.write(f"{promoted} waitlisted students have a seat now.")
