"""The regular work on the database: deletions after their periods, and seats of courses whose enrollment has opened."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone
from oauth2_provider.models import clear_expired

from school.observability.logging import current_request_id
from students.enrollment import promote
from students.enrollment.actor_context import ActorContext
from students.models import Channel, Student, StudentCourse
from students.privacy.database_vacuum import DATABASE_IN_USE, scrub
from students.privacy.retention import ERASED, apply_retention

COURSES = 100  # the number of courses that are locked at a time
SCRUBBED_AFTER = timedelta(days=2)  # erasures since then may not have been removed from the files of the database


def clean_up() -> Iterator[str]:
    """Delete what has passed its period, and remove erased data from the files; yield a sentence about each step."""
    since = timezone.now() - SCRUBBED_AFTER
    for kind, number, refused in apply_retention():
        yield f"{number} {kind}" + (f", {refused} refused" if refused and kind is ERASED else "") + "."
    clear_expired()
    yield "Expired tokens deleted."
    if Student.objects.filter(erased_at__gte=since).exists():
        yield "The database files contain no erased data." if scrub() else DATABASE_IN_USE


def promote_waitlists(channel: Channel = Channel.SYSTEM) -> Iterator[str]:
    """Give free seats to waitlisted students, a hundred courses at a time; yield a sentence at the end."""
    waitlisted = StudentCourse.objects.waitlisted().order_by("course").values_list("course", flat=True).distinct()
    actor = ActorContext(channel, request_id=current_request_id())
    course_ids, promoted = list(waitlisted), 0
    for start in range(0, len(course_ids), COURSES):
        promoted += len(promote(course_ids[start : start + COURSES], actor=actor))
    yield f"{promoted} waitlisted students have a seat now."
