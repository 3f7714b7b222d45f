"""Create the rows that the forms need in addition to the demo data: courses, enrollments to end, imports."""

import io
import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Min

from bench.processes import Failed
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import ImportChannel
from courses.models import Course, Level, Term
from school.api.pagination import Cursor, cursor_salt, encode_cursor
from students.api import EnrollmentViewSet, RosterViewSet
from students.api.courses_with_seats import CourseWithSeatsViewSet
from students.api.students import StudentViewSet
from students.enrollment import enroll_many
from students.enrollment.actor_context import ActorContext
from students.events.feed import cursor_of
from students.models import Channel, EnrollmentEvent, Student, StudentCourse

PAGE = 10  # the number of rows of a page
SEATS = 300  # the number of seats of the full course
STEP = 7  # the difference between the courses of two consecutive writes


@dataclass(frozen=True, slots=True)
class Ids:
    """A range of consecutive ids."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Rows:
    """
    The rows that the forms use.

    ``rosters`` are courses of the current term. ``free`` courses have a seat for every student, ``full`` and
    ``waitlists`` courses have none, and ``waitlists`` courses have a waitlist. ``sold_out`` has all its seats taken. In
    ``dropping`` and ``completing`` each of the ``leavers`` is enrolled once for each round, in the course that a form
    with the round as its seed selects. ``middle`` is a cursor of the change feed, ``cursors`` has those of pages, by
    list.
    """

    term: str
    term_id: int
    students: Ids
    rosters: Ids
    free: Ids
    full: Ids
    waitlists: Ids
    sold_out: int
    leavers: Ids
    dropping: Ids
    completing: Ids
    student: int
    course: int
    enrollment: int
    middle: str
    cursors: dict[str, dict[str, str]]


def make_rows(*, courses: int, leavers: int, rounds: int) -> Rows:
    """
    Create the rows, with ``courses`` courses of each kind; ``leavers`` can be dropped and completed once in each round.

    With a prime number of courses, the pairs of consecutive students and courses repeat late.
    """
    open_ = StudentCourse.objects.open()
    term = Term.objects.filter(courses__enrollments__in=open_).order_by("code").first()
    if term is None:
        raise Failed("No term has open enrollments.")
    middle = EnrollmentEvent.objects.filter(enrollment__course__term=term).aggregate(first=Min("pk"), last=Max("pk"))
    running = Course.objects.filter(enrollments__in=open_, term=term)
    student, roster = _busiest("student"), _busiest("course")
    students = _ids(Student.objects.all())
    if students.count != Student.objects.count():
        raise Failed("The ids of the students have gaps.")
    few = Ids(students.first, min(leavers, students.count))
    lists: dict[str, tuple[type, Any]] = {
        "enrollments": (EnrollmentViewSet, open_),
        f"courses/{roster}/students": (RosterViewSet, open_.filter(course=roster)),
        "students": (StudentViewSet, Student.objects.all()),
        "courses": (CourseWithSeatsViewSet, Course.objects.all()),
    }
    return Rows(
        term=term.code,
        students=students,
        rosters=_ids(running.distinct()),
        term_id=term.pk,
        free=_courses("FREE", courses, term, capacity=1_000_000),
        full=_courses("FULL", courses, term, capacity=0),
        waitlists=_courses("LINE", courses, term, capacity=0, waitlist_capacity=1_000_000),
        sold_out=_sold_out(term, students.first),
        leavers=few,
        dropping=_enrolled(_courses("DROP", courses, term), few, rounds),
        completing=_enrolled(_courses("COMPLETE", courses, term), few, rounds),
        student=student,
        course=roster,
        enrollment=open_.filter(course__term=term).latest("pk").pk,
        middle=cursor_of(EnrollmentEvent.objects.filter(pk__lte=sum(middle.values()) // 2).latest("pk")),
        cursors={path: _cursors(*each) for path, each in lists.items()},
    )


def _ids(rows: Any) -> Ids:
    """Return the range of ids of rows that were created consecutively."""
    ends = rows.aggregate(first=Min("pk"), last=Max("pk"))
    return Ids(ends["first"], ends["last"] - ends["first"] + 1)


def _busiest(of: str) -> int:
    """Return the id of the student or the course with the most open enrollments."""
    counted = StudentCourse.objects.open().order_by().values(of).annotate(count=Count("pk"))
    return int(counted.order_by("-count").values_list(of, flat=True)[0])


def _cursors(view: type, rows: Any) -> dict[str, str]:
    """Return the cursors of the second page, and of the last full page."""
    ids = rows.values_list("pk", flat=True)
    beside = {"second": ids.order_by("pk")[PAGE - 1], "last": ids.order_by("-pk")[PAGE]}
    return {name: encode_cursor(cursor_salt(view), "id", Cursor(int(pk))) for name, pk in beside.items()}


def _courses(name: str, count: int, term: Term, **seats: int) -> Ids:
    level = Level.INTRODUCTORY
    made = Course.objects.bulk_create(
        Course(code=f"{name}-{number}", name=name, level=level, term=term, **seats) for number in range(count)
    )
    return Ids(made[0].pk, count)


def _sold_out(term: Term, first: int) -> int:
    """Create a course whose seats are taken by the first students."""
    course = _courses("SOLD-OUT", 1, term, capacity=SEATS).first
    _enroll([(student, course) for student in range(first, first + SEATS)])
    return course


def _enrolled(courses: Ids, leavers: Ids, rounds: int) -> Ids:
    """Enroll the leavers in a different course for each round."""
    for number in range(rounds):
        _enroll(
            [
                (leavers.first + place, courses.first + (place * STEP + number) % courses.count)
                for place in range(leavers.count)
            ]
        )
    return courses


def _enroll(pairs: list[tuple[int, int]]) -> None:
    if not all(outcome.changed for outcome in enroll_many(pairs, actor=ActorContext(Channel.COMMAND))):
        raise Failed("Not all leavers could be enrolled.")


def receive_imports(account: Any) -> None:
    """Receive pending imports of a client: a full page in its list of imports, and one more."""
    for number in range(PAGE + 1):
        order = ImportRequest(
            kind="enrollments", channel=ImportChannel.API, request_id="", dataset=f"bench {number}", client=account
        )
        submit(io.BytesIO(b"student_number,course_code\n"), order)


def body(**fields: Any) -> str:
    """Return a JSON body; the placeholders of ids are ``"{row}"`` and ``"{other}"``."""
    text = json.dumps(fields, separators=(",", ":"))
    return text.replace('"{row}"', "{row}").replace('"{other}"', "{other}")
