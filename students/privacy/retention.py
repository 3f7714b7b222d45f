"""
Deletes data after its retention period: GDPR Article 5(1)(e).

The settings ``RETENTION_…`` give the periods.

The journal of enrollments and the record of access are never deleted: neither contains a name.
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
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from bulk.models import ACTIVE_STATES, Import
from bulk.personal_data.search import search
from school.access.access_log import Door
from school.http.rate_counter import delete_ended
from school.models import CachedValue, KeptAnswer
from school.refusals import Refused
from students.models import Hold, RefusedAct, Student, StudentCourse
from students.privacy.erase import erase
from students.privacy.person_lookup import Person, StudentHistory, person_of

REASON = "Kept for as long as the settings say."
ERASED = _("students, erased")
BATCH_SIZE = 200  # the number of students that are searched for in the files at a time


class RetentionResult(NamedTuple):
    """
    The kind of data, the number of items that were deleted (in a dry run: would be deleted), and the number that cannot
    be deleted.
    """

    kind: str | Promise
    number: int
    refused: int = 0


def apply_retention(*, dry_run: bool = False) -> Iterator[RetentionResult]:
    """Delete data older than the settings allow, one kind after the other; with ``dry_run`` only count it."""
    now = timezone.now()
    answers = KeptAnswer.objects.filter(at__lt=now - timedelta(days=settings.RETENTION_ANSWERS_DAYS))
    yield RetentionResult(_("stored responses for retries"), answers.count() if dry_run else answers.delete()[0])
    old = timezone.localdate(now) - timedelta(days=settings.RETENTION_REFUSALS_DAYS)
    refusals = RefusedAct.objects.filter(day__lt=old)
    yield RetentionResult(_("refusals"), refusals.count() if dry_run else refusals.delete()[0])
    sessions = Session.objects.filter(expire_date__lt=now)
    yield RetentionResult(_("sessions that have ended"), sessions.count() if dry_run else sessions.delete()[0])
    values = CachedValue.objects.filter(expires_at__lt=now)
    yield RetentionResult(_("cached values of logins"), values.count() if dry_run else values.delete()[0])
    if not dry_run:
        yield RetentionResult(_("request counts"), delete_ended())
    if settings.RETENTION_UPLOADS_DAYS:
        uploads = _uploads_before(now - timedelta(days=settings.RETENTION_UPLOADS_DAYS))
        yield RetentionResult(
            _("files of imports and their outcomes"), uploads.count() if dry_run else _discard(uploads)
        )
    if settings.RETENTION_STUDENTS_YEARS:
        students = inactive_since(now - timedelta(days=365.25 * settings.RETENTION_STUDENTS_YEARS))
        yield RetentionResult(ERASED, students.count()) if dry_run else _erase(students)


def inactive_since(moment: datetime) -> QuerySet[Student]:
    """
    Return the students without an open enrollment, if neither they nor their enrollments or holds have changed since
    this time.
    """
    enrollments = StudentCourse.objects.filter(student=OuterRef("pk"))
    versions = StudentHistory.objects.filter(id=OuterRef("pk"))
    with_history = Student.objects.filter(Exists(versions), erased_at=None).order_by("pk")
    has_changed = Exists(enrollments.filter(updated_at__gte=moment)) | Exists(versions.filter(history_date__gte=moment))
    holds = Hold.objects.filter(Q(placed_at__gte=moment) | Q(released_at__gte=moment), student=OuterRef("pk"))
    return with_history.filter(~Exists(enrollments.open()), ~has_changed, ~Exists(holds))


def _uploads_before(moment: datetime) -> QuerySet[Import]:
    return (
        Import.objects.filter(created_at__lt=moment, discarded_at=None).exclude(state__in=ACTIVE_STATES).order_by("pk")
    )


def _discard(uploads: QuerySet[Import]) -> int:
    discarded = 0
    for pk in uploads.values_list("pk", flat=True):
        with transaction.atomic():
            job = Import.objects.select_for_update().get(pk=pk)
            job.discard()
        discarded += 1
    return discarded


def _erase(students: QuerySet[Student]) -> RetentionResult:
    erased = refused = 0
    remaining_ids = iter(list(students.values_list("pk", flat=True)))
    while pks := list(islice(remaining_ids, BATCH_SIZE)):
        people = [person_of(student) for student in Student.objects.filter(pk__in=pks).order_by("pk")]
        prior_search = search(reduce(or_, (person.identifiers for person in people)))
        for person in people:
            if _erase_one(person, prior_search):
                erased += 1
            else:
                refused += 1
    return RetentionResult(ERASED, erased, refused)


def _erase_one(person: Person, prior_search: Any) -> bool:
    try:
        erase(person, reason=REASON, door=Door.COMMAND, prior_search=prior_search)
    except Refused:  # the student was enrolled in the meantime, or an active import names the student
        return False
    return True
