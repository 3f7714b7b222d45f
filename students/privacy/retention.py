"""
Letting go of what has been kept long enough: GDPR Article 5(1)(e). How long that is, the school says by the settings.

The journal of enrollments and the record of access are not let go of: neither has a name in it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from bulk.models import ACTIVE, Import
from bulk.storage import discard
from bulk.traces import search
from school.counting import clear_ended
from school.disclosures import Door
from school.models import KeptAnswer
from school.refusals import Refused
from students.models import RefusedAct, Student, StudentCourse
from students.privacy.erasing import erase
from students.privacy.person import VERSIONS, Person, person_of

REASON = "Kept for as long as the settings say."
TOGETHER = 200  # students whose traces are searched for at once


class LetGo(NamedTuple):
    """Of what, of how many, and of how many it could not be."""

    what: str | Promise
    number: int
    refused: int = 0


def apply_retention(*, dry_run: bool = False) -> Iterator[LetGo]:
    """Let go of what is older than the settings say, of one thing after the other; or only tell how much that is."""
    now = timezone.now()
    answers = KeptAnswer.objects.filter(at__lt=now - timedelta(days=settings.RETENTION_ANSWERS_DAYS))
    yield LetGo(_("answers kept for retries"), answers.count() if dry_run else answers.delete()[0])
    old = timezone.localdate(now) - timedelta(days=settings.RETENTION_REFUSALS_DAYS)
    refusals = RefusedAct.objects.filter(day__lt=old)
    yield LetGo(_("refusals"), refusals.count() if dry_run else refusals.delete()[0])
    sessions = Session.objects.filter(expire_date__lt=now)
    yield LetGo(_("sessions that have ended"), sessions.count() if dry_run else sessions.delete()[0])
    if not dry_run:
        yield LetGo(_("counts of requests"), clear_ended())
    if settings.RETENTION_UPLOADS_DAYS:
        uploads = _uploads_before(now - timedelta(days=settings.RETENTION_UPLOADS_DAYS))
        yield LetGo(_("files of imports and their outcomes"), uploads.count() if dry_run else _discard(uploads))
    if settings.RETENTION_STUDENTS_YEARS:
        students = gone_since(now - timedelta(days=365.25 * settings.RETENTION_STUDENTS_YEARS))
        yield LetGo(_("students, erased"), students.count()) if dry_run else _erase(students)


def gone_since(moment: datetime) -> QuerySet[Student]:
    """Return the students without an open enrollment, about whom nothing has changed since."""
    enrollments = StudentCourse.objects.filter(student=OuterRef("pk"))
    versions = VERSIONS.objects.filter(id=OuterRef("pk"))
    known = Student.objects.filter(Exists(versions), erased_at=None).order_by("pk")
    has_changed = Exists(enrollments.filter(updated_at__gte=moment)) | Exists(versions.filter(history_date__gte=moment))
    return known.filter(~Exists(enrollments.open()), ~has_changed)


def _uploads_before(moment: datetime) -> QuerySet[Import]:
    return Import.objects.filter(created_at__lt=moment, discarded_at=None).exclude(state__in=ACTIVE).order_by("pk")


def _discard(uploads: QuerySet[Import]) -> int:
    discarded = 0
    for pk in uploads.values_list("pk", flat=True):
        with transaction.atomic():
            job = Import.objects.select_for_update().get(pk=pk)
            discard(job)
        discarded += 1
    return discarded


def _erase(students: QuerySet[Student]) -> LetGo:
    erased = refused = 0
    waiting = iter(list(students.values_list("pk", flat=True)))
    while pks := list(islice(waiting, TOGETHER)):
        people = [person_of(student) for student in Student.objects.filter(pk__in=pks).order_by("pk")]
        searched = search(reduce(or_, (person.words for person in people)))
        for person in people:
            if _erase_one(person, searched):
                erased += 1
            else:
                refused += 1
    return LetGo(_("students, erased"), erased, refused)


def _erase_one(person: Person, searched: Any) -> bool:
    try:
        erase(person, reason=REASON, door=Door.COMMAND, searched=searched)
    except Refused:  # somebody has enrolled the student since, or an import at work names the student
        return False
    return True
