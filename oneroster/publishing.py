"""
Publishing: brings the records up to date with the terms, courses, people and enrollments of School.

Each request and each export publishes first. Changes are found in two places: triggers note each change of a
term, a course, a student, a member of staff and an account (``Touched``), and the journal has each change of an
enrollment, up to its safe watermark. Only after a change is committed does its record get a time of change. So a reader
that has seen all records at some time finds each later change by a later time, however long its transaction was open.
One publication runs at a time, and each has a later time than the one before.
"""

import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, Max, Subquery
from django.utils import timezone

from courses.models import CourseStaff
from oneroster import sourced_ids
from oneroster.models import (
    ClassRecord,
    CourseRecord,
    EnrollmentRecord,
    OrgRecord,
    Progress,
    Record,
    RecordStatus,
    SessionRecord,
    Touched,
    UserRecord,
)
from oneroster.record_writer import RecordWriter
from school.db.compiled_queries import ON_POSTGRESQL, QueryParameter, Statement, StatementCache, compile_statement
from school.db.loggable_error_details import sqlstate_of
from school.db.sqlite.busy_timeout import limit_busy_wait
from students.events.journal import JOURNAL
from students.models import EnrollmentEvent, StudentCourse

ADVISORY_LOCK = 0x0E05732  # the key of the lock that one publication holds
CHUNK = 4_000  # rows in a transaction, so that none of its statements takes long
REQUEST_SECONDS = 3  # for which a request waits until all changes are published
TICK = timedelta(milliseconds=1)  # the resolution of the times that are shown
LOCK_ERRORS = ("55P03", "SQLITE_BUSY")  # the lock was not released in time
RECORDS: tuple[type[Record], ...] = (
    OrgRecord,
    SessionRecord,
    CourseRecord,
    ClassRecord,
    UserRecord,
    EnrollmentRecord,
)
# The tables whose triggers write ``Touched``, by the kind that they note.
TOUCHED_TABLES = {
    "term": "SELECT id, CAST(NULL AS bigint) FROM courses_term",
    "course": "SELECT id, CAST(NULL AS bigint) FROM courses_course",
    "student": "SELECT id, CAST(NULL AS bigint) FROM students_student",
    "staff": "SELECT course_id, user_id FROM courses_coursestaff",
}
# The kind of a note that a publication itself writes: all enrollments of a course are to be published, because the days
# of its term have changed. Its ``account_id`` is the id of the last student whose enrollment is published already.
ROSTER = "roster"

NOTED = "(kind, source_id, account_id)"


class Behind(Exception):
    """More has to be published than a request waits for. The records that were published so far are kept."""


def publish(*, seconds: float | None = None) -> None:
    """
    Publish everything that is committed.

    Raise ``Behind`` if that takes longer than ``seconds``: then the records are not complete, and must not be shown.
    """
    started = time.monotonic()
    longest = 0.0
    while is_behind():
        begun = time.monotonic()
        left = None if seconds is None else seconds - (begun - started)
        # A chunk that would probably end too late is left to the next request.
        if left is not None and left <= longest:
            raise Behind
        try:
            _publish_chunk(left)
        except OperationalError as error:
            if left is None or sqlstate_of(error) not in LOCK_ERRORS:
                raise
            raise Behind from None
        longest = max(longest, time.monotonic() - begun)


def is_behind() -> bool:
    """Return True if anything that is committed is not published yet."""
    org = _org_values()
    parameters = {
        "expiry": _expiry(),
        "org": sourced_ids.org_id(),
        **{name: org[name] for name in ("name", "identifier")},
    }
    found = _statements.get("state", _compile_state).run(parameters)
    if not found:
        return True
    event_id, last_event, enrollment_id, last_enrollment, is_touched, has_org, *has_expired = found[0]
    if is_touched or not has_org or any(has_expired) or (last_enrollment or 0) > enrollment_id:
        return True
    if (last_event or 0) <= event_id:
        return False
    return EnrollmentEvent.objects.filter(pk__gt=event_id, pk__lte=_watermark()).exists()


_statements = StatementCache()


def _compile_state() -> Statement:
    """Compile the query of all that is compared to find out whether anything is not published yet."""

    def parameter(name: str, model: type[Record], column: str) -> QueryParameter:
        return QueryParameter(name, model._meta.get_field(column))

    org = OrgRecord.objects.filter(
        sourced_id=parameter("org", OrgRecord, "sourced_id"),
        status=RecordStatus.ACTIVE,
        removed_at__isnull=True,
        name=parameter("name", OrgRecord, "name"),
        identifier=parameter("identifier", OrgRecord, "identifier"),
    )
    expired = [
        Exists(model._default_manager.filter(removed_at__lt=parameter("expiry", model, "removed_at")))
        for model in RECORDS
    ]
    return compile_statement(
        Progress.objects.values_list(
            "event_id",
            Subquery(EnrollmentEvent.objects.order_by("-pk").values("pk")[:1]),
            "enrollment_id",
            Subquery(StudentCourse.objects.order_by("-pk").values("pk")[:1]),
            Exists(Touched.objects.all()),
            Exists(org),
            *expired,
        )
    )


def _expiry() -> datetime:
    return timezone.now() - timedelta(days=settings.ONEROSTER_TOMBSTONE_DAYS)


def _watermark() -> int:
    """Return the id up to which the journal is complete for all later queries."""
    watermark = JOURNAL.safe_watermark()
    if watermark is None:
        watermark = EnrollmentEvent.objects.aggregate(last=Max("pk"))["last"] or 0
    return watermark


def _org_values() -> dict[str, Any]:
    return {
        "status": RecordStatus.ACTIVE,
        "removed_at": None,
        "name": settings.ONEROSTER_ORG_NAME,
        "identifier": settings.ONEROSTER_ORG_IDENTIFIER,
    }


def _publish_chunk(seconds: float | None) -> None:
    """Publish some changes; wait at most ``seconds`` for another publication or, on SQLite, another writer."""
    with limit_busy_wait(connection, seconds), transaction.atomic():
        if ON_POSTGRESQL:
            with connection.cursor() as cursor:
                if seconds is not None:
                    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{max(int(seconds * 1000), 1)}ms"])
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        _publish_locked()


def _publish_locked() -> None:
    """Publish some changes: first the touched rows, then the new enrollments, then the journal."""
    progress = Progress.objects.first() or Progress()
    # Later than any earlier time, and later than now: a reader that comes before the commit has an earlier time.
    now = timezone.now()
    stamp = now.replace(microsecond=now.microsecond // 1000 * 1000) + TICK
    if progress.published_at is not None:
        stamp = max(stamp, progress.published_at + TICK)
    writer = RecordWriter(stamp)
    if not OrgRecord.objects.filter(sourced_id=sourced_ids.org_id(), removed_at=None).exists():
        _start_over(progress, stamp)
    writer.save(OrgRecord, {sourced_ids.org_id(): _org_values()})
    touched = list(Touched.objects.exclude(kind=ROSTER)[:CHUNK])
    if touched:
        moved = writer.publish_touched(touched)
        Touched.objects.filter(pk__in=[each.pk for each in touched]).delete()
        Touched.objects.bulk_create([Touched(kind=ROSTER, source_id=course, account_id=0) for course in sorted(moved)])
    if len(touched) < CHUNK and _publish_rosters(writer):
        _publish_new_enrollments(writer, progress)
        _publish_journal(writer, progress)
    for model in RECORDS:
        model._default_manager.filter(removed_at__lt=_expiry()).delete()
    progress.published_at = stamp
    progress.save()


def _start_over(progress: Progress, stamp: datetime) -> None:
    """Publish everything anew: for the first time, or under other ids because the school's identifier has changed."""
    for model in RECORDS:
        model._default_manager.filter(removed_at=None).update(
            status=RecordStatus.TO_BE_DELETED, removed_at=stamp, modified_at=stamp
        )
    progress.event_id, progress.enrollment_id = _watermark(), 0
    with connection.cursor() as cursor:
        for kind, source in TOUCHED_TABLES.items():
            cursor.execute(f"INSERT INTO oneroster_touched {NOTED} SELECT '{kind}', * FROM ({source}) AS source")  # noqa: S608  # only names


def _publish_rosters(writer: RecordWriter) -> bool:
    """Publish enrollments of courses with other days, up to ``CHUNK`` of students; return True if none is left."""
    left = CHUNK
    for note in Touched.objects.filter(kind=ROSTER)[:CHUNK]:
        if left <= 0:
            return False
        if not note.account_id:
            staff = CourseStaff.objects.filter(course=note.source_id).values_list("course_id", "user_id")
            writer.publish_staff(set(staff))
        rows = StudentCourse.objects.filter(course=note.source_id, student__gt=note.account_id or 0)
        students = list(rows.order_by("student").values_list("student", flat=True).distinct()[:left])
        writer.publish_enrollments({(student, note.source_id) for student in students})
        if len(students) < left:
            note.delete()
        else:
            note.account_id = students[-1]
            note.save()
        left -= max(len(students), 1)
    return not Touched.objects.filter(kind=ROSTER).exists()


def _publish_new_enrollments(writer: RecordWriter, progress: Progress) -> None:
    """Publish enrollments that the journal need not have, such as those from before the first publication."""
    new = StudentCourse.objects.filter(pk__gt=progress.enrollment_id).order_by("pk")[:CHUNK]
    rows = list(new.values_list("pk", "student_id", "course_id"))
    writer.publish_enrollments({(student, course) for _pk, student, course in rows})
    if rows:
        progress.enrollment_id = rows[-1][0]


def _publish_journal(writer: RecordWriter, progress: Progress) -> None:
    watermark = _watermark()
    entries = EnrollmentEvent.objects.filter(pk__gt=progress.event_id, pk__lte=watermark).order_by("pk")[:CHUNK]
    rows = list(entries.values_list("pk", "enrollment__student_id", "enrollment__course_id"))
    writer.publish_enrollments({(student, course) for _pk, student, course in rows})
    progress.event_id = rows[-1][0] if len(rows) == CHUNK else max(watermark, progress.event_id or 0)
