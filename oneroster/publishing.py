"""
Publishing: brings the records up to date with the terms, courses, people and enrollments of School.

Each request and each export publishes first. What has changed is found in two places: triggers note each change of a
term, a course, a student, a member of staff and an account (``Touched``), and the journal has each change of an
enrollment, up to its safe watermark. Only after a change is committed does its record get a time of change. So a reader
that has seen all records at some time finds each later change by a later time, however long its transaction was open.
One publication runs at a time, and each has a later time than the one before.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, Max, Subquery
from django.utils import timezone

from courses.models import Course, CourseStaff, Term
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
from school.db.bulk_insert import insert_many, update_many
from school.db.compiled_queries import ON_POSTGRESQL, QueryParameter, Statement, StatementCache, compile_statement
from students.events.log import safe_watermark
from students.models import LEFT_STATUSES, EnrollmentEvent, Status, Student, StudentCourse

ADVISORY_LOCK = 0x0E05732  # the key of the lock that one publication holds
CHUNK = 4_000  # rows in a transaction, so that none of its statements takes long
TICK = timedelta(milliseconds=1)  # the resolution of the times that are shown
RECORDS: tuple[type[Record], ...] = (
    OrgRecord,
    SessionRecord,
    CourseRecord,
    ClassRecord,
    UserRecord,
    EnrollmentRecord,
)
STUDENT, TEACHER = "student", "teacher"
TERM, GRADING_PERIOD, SCHOOL_YEAR = "term", "gradingPeriod", "schoolYear"
# The session of courses without a term. It does not end, so that no consumer archives these courses.
OPEN_ENDED_TITLE = "Open-ended"
OPEN_ENDED = (date(2000, 1, 1), date(2099, 12, 31))
FIRST_MONTH_OF_SCHOOL_YEAR = 7
# The tables whose triggers write ``Touched``, by the kind that they note.
TOUCHED_TABLES = {
    "term": "SELECT id, CAST(NULL AS bigint) FROM courses_term",
    "course": "SELECT id, CAST(NULL AS bigint) FROM courses_course",
    "student": "SELECT id, CAST(NULL AS bigint) FROM students_student",
    "staff": "SELECT course_id, user_id FROM courses_coursestaff",
}

NOTED = "(kind, source_id, account_id)"

Values = Mapping[str, Any]
Pair = tuple[int, int]


class Behind(Exception):
    """More has to be published than a request waits for. What was published so far is kept."""


def publish(*, seconds: float | None = None) -> None:
    """
    Publish everything that is committed.

    Raise ``Behind`` if that takes longer than ``seconds``: then the records are not complete, and must not be shown.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while is_behind():
        if deadline is not None and time.monotonic() > deadline:
            raise Behind
        _publish_chunk()


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
    watermark = safe_watermark()
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


@transaction.atomic
def _publish_chunk() -> None:
    """Publish some changes: first the touched rows, then the new enrollments, then the journal."""
    if ON_POSTGRESQL:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
    progress = Progress.objects.first() or Progress()
    # Later than any earlier time, and later than now: a reader that comes before the commit has an earlier time.
    now = timezone.now()
    stamp = now.replace(microsecond=now.microsecond // 1000 * 1000) + TICK
    if progress.published_at is not None:
        stamp = max(stamp, progress.published_at + TICK)
    publication = Publication(stamp)
    if not OrgRecord.objects.filter(sourced_id=sourced_ids.org_id(), removed_at=None).exists():
        _start_over(progress, stamp)
    publication.save(OrgRecord, {sourced_ids.org_id(): _org_values()})
    touched = list(Touched.objects.all()[:CHUNK])
    publication.publish_touched(touched)
    Touched.objects.filter(pk__in=[each.pk for each in touched]).delete()
    if len(touched) < CHUNK:
        publication.publish_new_enrollments(progress)
        publication.publish_journal(progress)
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


class Publication:
    """Writes records with one time of change."""

    def __init__(self, stamp: datetime) -> None:
        self.stamp = stamp

    def save(
        self,
        model: type[Record],
        current: Mapping[UUID, Values],
        removed: Collection[UUID] = (),
        *,
        changed: Collection[UUID] = (),
    ) -> None:
        """
        Give records their current values, and mark the records in ``removed`` as removed if they exist.

        A record gets the time of change if one of its values differs, or if ``changed`` contains it.
        """
        known = {
            record.sourced_id: record for record in model._default_manager.filter(sourced_id__in=[*current, *removed])
        }
        new, updated, names = [], [], {"status", "modified_at", "removed_at"}
        for sourced_id, values in current.items():
            record = known.get(sourced_id)
            if record is None:
                new.append(model(sourced_id=sourced_id, modified_at=self.stamp, **values))
            elif sourced_id in changed or any(getattr(record, name) != value for name, value in values.items()):
                for name, value in values.items():
                    setattr(record, name, value)
                names |= set(values)
                updated.append(record)
        for sourced_id in removed:
            record = known.get(sourced_id)
            if record is not None and record.removed_at is None:
                record.status, record.removed_at = RecordStatus.TO_BE_DELETED, self.stamp
                updated.append(record)
        for record in updated:
            record.modified_at = self.stamp
        insert_many(new)
        update_many(updated, sorted(names))

    def publish_touched(self, touched: Iterable[Touched]) -> None:
        ids: dict[str, set[int]] = defaultdict(set)
        staff = set()
        for each in touched:
            ids[each.kind].add(each.source_id)
            if each.kind == "staff":
                assert each.account_id is not None
                staff.add((each.source_id, each.account_id))
        moved = self.publish_sessions() if ids["term"] or ids["course"] else set()
        moved |= self.publish_courses(ids["course"])
        self.publish_students(ids["student"])
        self.publish_accounts(ids["account"] | {account for _course, account in staff}, changed=ids["account"])
        self.publish_staff(staff)
        self.publish_enrollments_of_courses(moved)

    def publish_sessions(self) -> set[int]:
        """Publish all terms with their parts and years; return the ids of the courses whose term has other dates."""
        dated = {
            record.term_id: (record.begin_on, record.end_on)
            for record in SessionRecord.objects.filter(type=TERM, removed_at=None)
        }
        terms: list[Any] = list(Term.objects.order_by("starts_on", "pk"))
        sessions: dict[UUID, Values] = {}
        years: dict[str, list[UUID]] = defaultdict(list)
        for term in terms:
            years[school_year_of(term.starts_on)].append(sourced_ids.term_id(term.pk))
            sessions |= _term_sessions(term.pk, term.name, term.starts_on, term.ends_on, school_year_of(term.starts_on))
        if Course.objects.filter(term=None).exists():
            year = str(OPEN_ENDED[1].year)
            years[year].append(sourced_ids.term_id(None))
            sessions |= _term_sessions(None, OPEN_ENDED_TITLE, *OPEN_ENDED, year)
        for year, parts in years.items():
            sessions[sourced_ids.school_year_id(year)] = _session(
                type=SCHOOL_YEAR,
                title=f"{int(year) - 1}/{year}",
                begin_on=min(sessions[part]["begin_on"] for part in parts),
                end_on=max(sessions[part]["end_on"] for part in parts),
                school_year=year,
                children=",".join(map(str, parts)),
            )
        published = SessionRecord.objects.filter(removed_at=None).values_list("sourced_id", flat=True)
        self.save(SessionRecord, sessions, set(published) - set(sessions))
        moved = [term.pk for term in terms if term.pk in dated and dated[term.pk] != (term.starts_on, term.ends_on)]
        return set(Course.objects.filter(term__in=moved).values_list("pk", flat=True))

    def publish_courses(self, ids: Collection[int]) -> set[int]:
        """Publish courses as classes, and their codes as courses; return the ids of those that have another term."""
        if not ids:
            return set()
        sessions = dict(ClassRecord.objects.filter(course_id__in=ids).values_list("course_id", "session_ref"))
        former = ClassRecord.objects.filter(course_id__in=ids).values("course_ref")
        codes = set(CourseRecord.objects.filter(sourced_id__in=former).values_list("code", flat=True))
        courses: list[Any] = list(Course.objects.filter(pk__in=ids).select_related("term"))
        classes: dict[UUID, Values] = {
            sourced_ids.class_id(course.pk): {
                **_current(),
                "title": course.name,
                "code": course.full_code,
                "course_ref": sourced_ids.course_code_id(course.code),
                "session_ref": sourced_ids.term_id(course.term_id),
                "course_id": course.pk,
                "term_id": course.term_id,
            }
            for course in courses
        }
        self.save(ClassRecord, classes, {sourced_ids.class_id(pk) for pk in ids} - set(classes))
        codes |= {course.code for course in courses}
        titles = dict(Course.objects.filter(code__in=codes).order_by("pk").values_list("code", "name"))
        self.save(
            CourseRecord,
            {
                sourced_ids.course_code_id(code): {**_current(), "code": code, "title": title}
                for code, title in titles.items()
            },
            [sourced_ids.course_code_id(code) for code in codes - set(titles)],
        )
        return {
            course.pk
            for course in courses
            if course.pk in sessions and sessions[course.pk] != sourced_ids.term_id(course.term_id)
        }

    def publish_students(self, ids: Collection[int]) -> None:
        students = dict(Student.objects.filter(pk__in=ids).values_list("pk", "erased_at"))
        known = {
            sourced_ids.student_id(pk): {**_current(), "role": STUDENT, "student_id": pk}
            for pk, erased_at in students.items()
            if erased_at is None
        }
        self.save(UserRecord, known, {sourced_ids.student_id(pk) for pk in ids} - set(known), changed=known)
        erased = [pk for pk, erased_at in students.items() if erased_at is not None]
        if erased:
            pairs = StudentCourse.objects.filter(student__in=erased).values_list("student_id", "course_id")
            self.publish_enrollments(set(pairs))

    def publish_accounts(self, ids: Collection[int], *, changed: Collection[int]) -> None:
        """Publish accounts as teachers, as long as they are staff of a course."""
        teachers = CourseStaff.objects.filter(user__in=ids).order_by().values_list("user_id", flat=True).distinct()
        known = {sourced_ids.account_id(pk): {**_current(), "role": TEACHER, "account_id": pk} for pk in teachers}
        self.save(
            UserRecord,
            known,
            {sourced_ids.account_id(pk) for pk in ids} - set(known),
            changed={sourced_ids.account_id(pk) for pk in changed},
        )

    def publish_staff(self, pairs: Collection[Pair]) -> None:
        """Publish the enrollments of accounts as teachers, by pairs of a course and an account."""
        staff = CourseStaff.objects.filter(
            course__in={course for course, _account in pairs}, user__in={account for _course, account in pairs}
        ).values_list("course_id", "user_id", "course__term__starts_on", "course__term__ends_on")
        current = {
            (course, account): (starts_on or OPEN_ENDED[0], ends_on or OPEN_ENDED[1])
            for course, account, starts_on, ends_on in staff
        }
        enrollments = {}
        removed = []
        for course, account in pairs:
            user, clazz = sourced_ids.account_id(account), sourced_ids.class_id(course)
            sourced_id = sourced_ids.enrollment_id(user, clazz)
            if days := current.get((course, account)):
                enrollments[sourced_id] = _enrollment(user, clazz, TEACHER, *days)
            else:
                removed.append(sourced_id)
        self.save(EnrollmentRecord, enrollments, removed)

    def publish_enrollments_of_courses(self, courses: Collection[int]) -> None:
        if not courses:
            return
        staff = CourseStaff.objects.filter(course__in=courses).values_list("course_id", "user_id")
        self.publish_staff(set(staff))
        students = StudentCourse.objects.filter(course__in=courses).order_by("student", "course")
        pairs = students.values_list("student_id", "course_id").iterator(chunk_size=CHUNK)
        while chunk := set(islice(pairs, CHUNK)):
            self.publish_enrollments(chunk)

    def publish_new_enrollments(self, progress: Progress) -> None:
        """Publish enrollments that the journal need not have, such as those from before the first publication."""
        new = StudentCourse.objects.filter(pk__gt=progress.enrollment_id).order_by("pk")[:CHUNK]
        rows = list(new.values_list("pk", "student_id", "course_id"))
        self.publish_enrollments({(student, course) for _pk, student, course in rows})
        if rows:
            progress.enrollment_id = rows[-1][0]

    def publish_journal(self, progress: Progress) -> None:
        watermark = _watermark()
        entries = EnrollmentEvent.objects.filter(pk__gt=progress.event_id, pk__lte=watermark).order_by("pk")[:CHUNK]
        rows = list(entries.values_list("pk", "enrollment__student_id", "enrollment__course_id"))
        self.publish_enrollments({(student, course) for _pk, student, course in rows})
        progress.event_id = rows[-1][0] if len(rows) == CHUNK else max(watermark, progress.event_id or 0)

    def publish_enrollments(self, pairs: Collection[Pair]) -> None:
        """
        Publish the newest enrollment of each pair of a student and a course.

        A row that is or was only waitlisted is not listed. The enrollments of an erased student are removed.
        """
        if not pairs:
            return
        rows = (
            StudentCourse.objects.filter(
                student__in={student for student, _course in pairs},
                course__in={course for _student, course in pairs},
                enrolled_on__isnull=False,
                student__erased_at=None,
            )
            .exclude(status=Status.WAITLISTED)
            .order_by("pk")
            .values_list("student_id", "course_id", "status", "enrolled_on", "ended_on", "course__term__ends_on")
        )
        newest: dict[Pair, Any] = {row[:2]: row[2:] for row in rows}
        users = {student: sourced_ids.student_id(student) for student, _course in pairs}
        classes = {course: sourced_ids.class_id(course) for _student, course in pairs}
        enrollments, removed = {}, []
        for student, course in pairs:
            user, clazz = users[student], classes[course]
            sourced_id = sourced_ids.enrollment_id(user, clazz)
            if (row := newest.get((student, course))) is None:
                removed.append(sourced_id)
                continue
            status, enrolled_on, ended_on, term_ends_on = row
            end_on = ended_on or max(term_ends_on or OPEN_ENDED[1], enrolled_on)
            enrollments[sourced_id] = _enrollment(
                user, clazz, STUDENT, enrolled_on, end_on, has_left=status in LEFT_STATUSES
            )
        self.save(EnrollmentRecord, enrollments, removed)


def school_year_of(starts_on: date) -> str:
    """Return the year in which the school year of a term that starts on this day ends, of four digits."""
    return f"{min(starts_on.year + (starts_on.month >= FIRST_MONTH_OF_SCHOOL_YEAR), 9999):04}"


def _current() -> dict[str, Any]:
    return {"status": RecordStatus.ACTIVE, "removed_at": None}


def _session(**values: Any) -> Values:
    return {**_current(), "parent_ref": None, "term_id": None, **values}


def _term_sessions(pk: int | None, title: str, begin_on: date, end_on: date, year: str) -> dict[UUID, Values]:
    """Return a term, and its one grading period."""
    term, period = sourced_ids.term_id(pk), sourced_ids.grading_period_id(pk)
    common = {"title": title, "begin_on": begin_on, "end_on": end_on, "school_year": year, "term_id": pk}
    return {
        term: _session(**common, type=TERM, parent_ref=sourced_ids.school_year_id(year), children=str(period)),
        period: _session(**common, type=GRADING_PERIOD, parent_ref=term, children=""),
    }


def _enrollment(user: UUID, clazz: UUID, role: str, begin_on: date, end_on: date, *, has_left: bool = False) -> Values:
    return {
        "status": RecordStatus.TO_BE_DELETED if has_left else RecordStatus.ACTIVE,
        "removed_at": None,
        "user_ref": user,
        "class_ref": clazz,
        "role": role,
        "begin_on": begin_on,
        "end_on": end_on,
    }
