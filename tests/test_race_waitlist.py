"""Freed seats, lines, waivers, undo and imports, raced for by parallel connections to PostgreSQL."""

from collections.abc import Callable
from contextlib import suppress
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

from courses.models import Course
from school.refusals import Refused
from stress.invariants import misfilled, violations
from students.enrollment import complete, drop, enroll, enroll_many, promote, undo
from students.enrollment.commands import ActorContext, OnFull
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse
from tests.factories import make_course, make_student
from tests.races import RUNNERS, race

ROUNDS = 10
ORIGIN = ActorContext(Channel.SYSTEM, may_waive=True)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def refused(verb: Callable[..., object], student: Student, course: Course, **wishes: object) -> list[str]:
    """Do it, and return the codes of what stands against it."""
    try:
        verb(student_id=student.pk, course_id=course.pk, actor=ORIGIN, **wishes)
    except Refused as refused:
        return [refusal.code for refusal in refused.refusals]
    return []


def crowded(*, seats: int, waiting: int, **fields: object) -> tuple[Course, list[Student], list[Student]]:
    """A course with all its seats taken and so many in line: it, who is in, and who waits, in their order."""
    course = make_course(**{"capacity": seats, "waitlist_capacity": None, **fields})
    students = [make_student() for _ in range(seats + waiting)]
    enroll_many([(student.pk, course.pk) for student in students], on_full=OnFull.WAITLIST, actor=ORIGIN)
    return course, students[:seats], students[seats:]


def seated(course: Course) -> list[int]:
    return sorted(course.enrollments.filter(status="enrolled").values_list("student", flat=True))


def ids(students: list[Student]) -> list[int]:
    return sorted(student.pk for student in students)


def in_the_order_of(action: Action, to_status: str) -> list[int]:
    """The students in the order in which the journal tells this of them."""
    events = EnrollmentEvent.objects.filter(action=action, to_status=to_status).order_by("pk")
    return list(events.values_list("enrollment__student", flat=True))


@pytest.fixture
def make_program(make_client):
    """Make clients of the API of one program, one for each runner."""
    token = make_client("students:write", "courses:write", "enrollments:write")._credentials["HTTP_AUTHORIZATION"]

    def make() -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        return client

    return make


def test_a_freed_seat_goes_to_who_is_next_whoever_else_wants_it():
    students, course = [make_student() for _ in range(RUNNERS)], make_course(capacity=5, waitlist_capacity=8)
    codes: set[str] = set()

    def act(runner, number):
        wishes = [(drop, {}), (enroll, {}), (enroll, {"on_full": OnFull.WAITLIST}), (enroll, {"on_full": "waitlist"})]
        verb, wish = wishes[(runner + number) % 4]
        codes.update(refused(verb, students[runner], course, **wish))

    race(act, 2 * ROUNDS)

    assert violations() == []
    assert codes == {"course_full", "waitlist_full", "not_enrolled"}
    assert len(in_the_order_of(Action.PROMOTE, "enrolled")) > ROUNDS


def test_two_who_drop_at_once_let_in_the_first_two():
    crowds = [crowded(seats=2, waiting=3) for _ in range(ROUNDS)]

    def act(runner, number):
        course, holders, _line = crowds[number]
        drop(student_id=holders[runner].pk, course_id=course.pk, actor=ORIGIN)

    race(act, ROUNDS, runners=2)

    assert violations() == []
    assert [seated(course) for course, _holders, _line in crowds] == [
        ids(line[:2]) for _course, _holders, line in crowds
    ]


def test_who_is_promoted_by_many_at_once_is_promoted_once():
    crowds = [crowded(seats=1, waiting=RUNNERS) for _ in range(ROUNDS)]
    Course.objects.update(capacity=3)

    race(lambda runner, number: promote([crowds[number][0].pk], actor=ORIGIN), ROUNDS)

    for course, holders, line in crowds:
        assert seated(course) == ids([*holders, *line[:2]])
    assert EnrollmentEvent.objects.filter(action=Action.PROMOTE).count() == 2 * ROUNDS
    assert violations(lambda event: (3, None)) == []


def test_more_seats_and_freed_seats_at_once_are_each_given_once(make_program):
    crowds = [crowded(seats=RUNNERS - 1, waiting=RUNNERS + 9) for _ in range(5)]
    programs = [make_program() for _ in range(RUNNERS)]

    def act(runner, number):
        course, holders, _line = crowds[number]
        if runner == RUNNERS - 1:
            answer = programs[runner].patch(f"/api/v1/courses/{course.pk}", {"capacity": RUNNERS + 4})
            assert answer.status_code == 200
        else:
            answer = programs[runner].delete(f"/api/v1/students/{holders[runner].pk}/courses/{course.pk}")
            assert answer.status_code == 204

    race(act, 5)

    for course, _holders, line in crowds:
        assert seated(course) == ids(line[: RUNNERS + 4])
    assert violations(lambda event: (RUNNERS + 4, None)) == []


def test_who_is_waived_in_takes_no_seat_from_the_count():
    courses = [make_course(capacity=5) for _ in range(ROUNDS)]
    students = [make_student() for _ in range(RUNNERS)]

    def act(runner, number):
        waive = {"waived_codes": ["course_full"], "reason": "graduates"} if runner % 4 == 0 else {}
        refused(enroll, students[runner], courses[number], **waive)

    race(act, ROUNDS)

    assert violations() == []
    for course in courses:
        waived = EnrollmentEvent.objects.filter(enrollment__course=course, waived=["course_full"]).count()
        assert len(seated(course)) == 5 + waived


def test_undo_and_newcomers_share_one_seat():
    crowds = [crowded(seats=1, waiting=0) for _ in range(ROUNDS)]
    for course, [holder], _line in crowds:
        drop(student_id=holder.pk, course_id=course.pk, actor=ORIGIN)
    students = [make_student() for _ in range(RUNNERS)]
    codes: set[str] = set()

    def act(runner, number):
        course, [holder], _line = crowds[number]
        verb, student = (undo, holder) if runner == 0 else (enroll, students[runner])
        codes.update(refused(verb, student, course))

    race(act, ROUNDS)

    assert violations() == []
    assert [len(seated(course)) for course, _holders, _line in crowds] == [1] * ROUNDS
    assert codes == {"course_full"}


def test_imports_and_the_api_share_the_seats(make_program, tmp_path):
    course = make_course(code="C-1", capacity=20, waitlist_capacity=5)
    listed, others = ([make_student() for _ in range(RUNNERS)] for _ in range(2))
    programs = [make_program() for _ in range(RUNNERS)]
    rounds, importers = 4, 4
    files = [tmp_path / f"{number}.csv" for number in range(rounds * importers)]
    for number, file in enumerate(files):
        wishes = [f"{each.student_number},C-1,{['waitlisted', 'dropped'][(each.pk + number) % 2]}\n" for each in listed]
        file.write_text("student_number,course_code,status\n" + "".join(wishes))
    statuses: set[int] = set()

    def act(runner, number):
        if runner < importers:
            quiet = {"stdout": StringIO(), "stderr": StringIO()}
            with suppress(SystemExit):  # some rows are always refused: the exit code says so
                file = files[number * importers + runner]
                call_command("import_enrollments", file, on_error="skip", dataset=str(runner), **quiet)
        elif (runner + number) % 3:
            body = {"course_id": course.pk, "on_full": "waitlist"}
            statuses.add(programs[runner].post(f"/api/v1/students/{others[runner].pk}/courses", body).status_code)
        else:
            programs[runner].delete(f"/api/v1/students/{others[runner].pk}/courses/{course.pk}")

    race(act, rounds)

    assert violations() == []
    assert statuses == {200, 201, 409}
    assert set(EnrollmentEvent.objects.values_list("channel", flat=True)) == {"import", "api", "system"}


def test_a_line_that_many_join_at_once_keeps_to_its_places_and_its_order():
    crowds = [crowded(seats=1, waiting=0, waitlist_capacity=5) for _ in range(ROUNDS)]
    students = [make_student() for _ in range(RUNNERS)]

    race(lambda runner, number: refused(enroll, students[runner], crowds[number][0], on_full=OnFull.WAITLIST), ROUNDS)

    for course, _holders, _line in crowds:
        assert misfilled(course, enrolled=1, waiting=5) == []
        for _ in range(5):
            drop(student_id=seated(course)[0], course_id=course.pk, actor=ORIGIN)
    assert in_the_order_of(Action.PROMOTE, "enrolled") == in_the_order_of(Action.ENROLL, "waitlisted")
    assert violations() == []


def test_who_becomes_active_as_the_seat_comes_free_gets_it(make_program):
    crowds = [crowded(seats=1, waiting=1) for _ in range(ROUNDS)]
    Student.objects.filter(pk__in=[line[0].pk for _course, _holders, line in crowds]).update(is_active=False)
    programs = [make_program() for _ in range(2)]

    def act(runner, number):
        course, [holder], [waiter] = crowds[number]
        if runner == 0:
            programs[0].patch(f"/api/v1/students/{waiter.pk}", {"is_active": True})
        else:
            programs[1].delete(f"/api/v1/students/{holder.pk}/courses/{course.pk}")

    race(act, ROUNDS, runners=2)

    assert [seated(course) for course, _holders, _line in crowds] == [ids(line) for _course, _holders, line in crowds]
    assert violations() == []


def test_who_completes_what_was_missing_as_the_seat_comes_free_gets_it():
    crowds = [crowded(seats=1, waiting=1) for _ in range(ROUNDS)]
    basics = make_course(code="BASIC")
    Course.objects.exclude(pk=basics.pk).update(prerequisites=["BASIC"])
    enroll_many([(line[0].pk, basics.pk) for _course, _holders, line in crowds], actor=ORIGIN)

    def act(runner, number):
        course, [holder], [waiter] = crowds[number]
        verb, student, about = [(complete, waiter, basics), (drop, holder, course)][runner]
        verb(student_id=student.pk, course_id=about.pk, actor=ORIGIN)

    race(act, ROUNDS, runners=2)

    assert [seated(course) for course, _holders, _line in crowds] == [ids(line) for _course, _holders, line in crowds]
    assert violations() == []
    assert StudentCourse.objects.completed().count() == ROUNDS
