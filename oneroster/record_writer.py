"""
The writer of the records: gives them the values of the terms, courses, people and enrollments of School.

``oneroster.publishing`` finds what has changed, and calls the writer for it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from courses.models import Course, CourseStaff, Term
from oneroster import sourced_ids
from oneroster.models import (
    ClassRecord,
    CourseRecord,
    EnrollmentRecord,
    Record,
    RecordStatus,
    SessionRecord,
    Touched,
    UserRecord,
)
from school.db.bulk_writes import insert_many, update_many
from students.models import LEFT_STATUSES, Status, Student, StudentCourse

STUDENT, TEACHER = "student", "teacher"
TERM, GRADING_PERIOD, SCHOOL_YEAR = "term", "gradingPeriod", "schoolYear"
# The session of courses without a term. It does not end, so that no consumer archives these courses.
OPEN_ENDED_TITLE = "Open-ended"
OPEN_ENDED = (date(2000, 1, 1), date(2099, 12, 31))
FIRST_MONTH_OF_SCHOOL_YEAR = 7

Values = Mapping[str, Any]
Pair = tuple[int, int]


class RecordWriter:
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

    def publish_touched(self, touched: Iterable[Touched]) -> set[int]:
        """Publish the rows that the notes name; return the ids of the courses whose enrollments have other days."""
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
        return moved

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
                "title": course.titled,
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
