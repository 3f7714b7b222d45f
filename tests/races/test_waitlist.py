"""Parallel connections to PostgreSQL compete in freed seats, waitlists, waivers, undo and imports."""

from collections.abc import Callable
from contextlib import suppress
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

from courses.models import Course
from school.refusals import Refused
from stress.invariants import violations, wrong_counts
from students.enrollment import complete, drop, enroll, enroll_many, promote, undo
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.races import RUNNERS, race

ROUNDS = 10
SEATS = RUNNERS // 4  # the number of seats of a course for which all runners compete
CROWD = 32  # the number of runners of tests that need many of them
ORIGIN = ActorContext(Channel.SYSTEM, may_waive=True)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def refusal_codes_of(verb: Callable[..., object], student: Student, course: Course, **wishes: object) -> list[str]:
    """Call a function, and return the codes of its refusal."""
    try:
        verb(student_id=student.pk, course_id=course.pk, actor=ORIGIN, **wishes)
    except Refused as refused:
        return [refusal.code for refusal in refused.refusals]
    return []


def full_course_with_waitlist(
    *, seats: int, waiting: int, **fields: object
) -> tuple[Course, list[Student], list[Student]]:
    """Return a full course with a waitlist, its enrolled students, and its waitlisted students in order."""
    course = make_course(**{"capacity": seats, "waitlist_capacity": None, **fields})
    students = [make_student() for _ in range(seats + waiting)]
    enroll_many([(student.pk, course.pk) for student in students], on_full=OnFull.WAITLIST, actor=ORIGIN)
    return course, students[:seats], students[seats:]


def enrolled_in(course: Course) -> list[int]:
    return sorted(course.enrollments.filter(status="enrolled").values_list("student", flat=True))


def ids(students: list[Student]) -> list[int]:
    return sorted(student.pk for student in students)


def students_in_order_of(action: Action, to_status: str) -> list[int]:
    """Return the students in the order of their journal entries of this action."""
    events = EnrollmentEvent.objects.filter(action=action, to_status=to_status).order_by("pk")
    return list(events.values_list("enrollment__student", flat=True))


@pytest.fixture
def make_program(make_client):
    """Return a function that makes an API client for each runner, all of one program."""
    token = make_client("students:write", "courses:write", "enrollments:write")._credentials["HTTP_AUTHORIZATION"]

    def make() -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        return client

    return make


def test_a_freed_seat_goes_to_the_first_waitlisted_student_despite_new_requests():
    students, course = [make_student() for _ in range(CROWD)], make_course(capacity=5, waitlist_capacity=8)
    codes: set[str] = set()

    def act(runner, number):
        wishes = [(drop, {}), (enroll, {}), (enroll, {"on_full": OnFull.WAITLIST}), (enroll, {"on_full": "waitlist"})]
        verb, wish = wishes[(runner + number) % 4]
        codes.update(refusal_codes_of(verb, students[runner], course, **wish))

    race(act, 2 * ROUNDS, CROWD)

    assert violations() == []
    assert codes == {"course_full", "waitlist_full", "not_enrolled"}
    assert len(students_in_order_of(Action.PROMOTE, "enrolled")) > ROUNDS


def test_two_simultaneous_drops_promote_the_first_two_students():
    crowds = [full_course_with_waitlist(seats=2, waiting=3) for _ in range(ROUNDS)]

    def act(runner, number):
        course, holders, _line = crowds[number]
        drop(student_id=holders[runner].pk, course_id=course.pk, actor=ORIGIN)

    race(act, ROUNDS, runners=2)

    assert violations() == []
    assert [enrolled_in(course) for course, _holders, _line in crowds] == [
        ids(line[:2]) for _course, _holders, line in crowds
    ]


def test_a_student_promoted_by_many_simultaneous_calls_is_promoted_once():
    crowds = [full_course_with_waitlist(seats=1, waiting=RUNNERS) for _ in range(ROUNDS)]
    Course.objects.update(capacity=3)

    race(lambda runner, number: promote([crowds[number][0].pk], actor=ORIGIN), ROUNDS)

    for course, holders, line in crowds:
        assert enrolled_in(course) == ids([*holders, *line[:2]])
    assert EnrollmentEvent.objects.filter(action=Action.PROMOTE).count() == 2 * ROUNDS
    assert violations(lambda event: (3, None)) == []


def test_added_seats_and_simultaneously_freed_seats_are_each_given_once(make_program):
    crowds = [full_course_with_waitlist(seats=RUNNERS - 1, waiting=RUNNERS + 9) for _ in range(5)]
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
        assert enrolled_in(course) == ids(line[: RUNNERS + 4])
    assert violations(lambda event: (RUNNERS + 4, None)) == []


def test_enrollments_by_waiver_do_not_reduce_the_seats_of_other_students():
    courses = [make_course(capacity=SEATS) for _ in range(ROUNDS)]
    students = [make_student() for _ in range(RUNNERS)]

    def act(runner, number):
        waive = {"waived_codes": ["course_full"], "reason": "graduates"} if runner % 4 == 0 else {}
        refusal_codes_of(enroll, students[runner], courses[number], **waive)

    race(act, ROUNDS)

    assert violations() == []
    for course in courses:
        waived = EnrollmentEvent.objects.filter(enrollment__course=course, waived=["course_full"]).count()
        assert len(enrolled_in(course)) == SEATS + waived


def test_an_undo_and_new_requests_share_one_seat():
    crowds = [full_course_with_waitlist(seats=1, waiting=0) for _ in range(ROUNDS)]
    for course, [holder], _line in crowds:
        drop(student_id=holder.pk, course_id=course.pk, actor=ORIGIN)
    students = [make_student() for _ in range(RUNNERS)]
    codes: set[str] = set()

    def act(runner, number):
        course, [holder], _line = crowds[number]
        verb, student = (undo, holder) if runner == 0 else (enroll, students[runner])
        codes.update(refusal_codes_of(verb, student, course))

    race(act, ROUNDS)

    assert violations() == []
    assert [len(enrolled_in(course)) for course, _holders, _line in crowds] == [1] * ROUNDS
    assert codes == {"course_full"}


def test_imports_and_the_api_share_the_seats(make_program, tmp_path):
    course = make_course(code="C-1", capacity=20, waitlist_capacity=5)
    listed, others = ([make_student() for _ in range(CROWD)] for _ in range(2))
    programs = [make_program() for _ in range(CROWD)]
    rounds, importers = 4, 4
    files = [tmp_path / f"{number}.csv" for number in range(rounds * importers)]
    for number, file in enumerate(files):
        wishes = [f"{each.student_number},C-1,{['waitlisted', 'dropped'][(each.pk + number) % 2]}\n" for each in listed]
        file.write_text("student_number,course_code,status\n" + "".join(wishes))
    statuses: set[int] = set()

    def act(runner, number):
        if runner < importers:
            quiet = {"stdout": StringIO(), "stderr": StringIO()}
            with suppress(SystemExit):  # some rows are always refused, as the exit code shows
                file = files[number * importers + runner]
                call_command("import_enrollments", file, on_error="skip", dataset=str(runner), **quiet)
        elif (runner + number) % 3:
            body = {"course_id": course.pk, "on_full": "waitlist"}
            statuses.add(programs[runner].post(f"/api/v1/students/{others[runner].pk}/courses", body).status_code)
        else:
            programs[runner].delete(f"/api/v1/students/{others[runner].pk}/courses/{course.pk}")

    race(act, rounds, CROWD)

    assert violations() == []
    assert statuses == {200, 201, 409}
    assert set(EnrollmentEvent.objects.values_list("channel", flat=True)) == {"import", "api", "system"}


def test_a_waitlist_with_many_simultaneous_joins_keeps_its_limit_and_order():
    crowds = [full_course_with_waitlist(seats=1, waiting=0, waitlist_capacity=SEATS) for _ in range(ROUNDS)]
    students = [make_student() for _ in range(RUNNERS)]

    race(
        lambda runner, number: refusal_codes_of(enroll, students[runner], crowds[number][0], on_full=OnFull.WAITLIST),
        ROUNDS,
    )

    for course, _holders, _line in crowds:
        assert wrong_counts(course, enrolled=1, waiting=SEATS) == []
        for _ in range(SEATS):
            drop(student_id=enrolled_in(course)[0], course_id=course.pk, actor=ORIGIN)
    assert students_in_order_of(Action.PROMOTE, "enrolled") == students_in_order_of(Action.ENROLL, "waitlisted")
    assert violations() == []


def test_a_student_activated_while_the_seat_is_freed_gets_it(make_program):
    crowds = [full_course_with_waitlist(seats=1, waiting=1) for _ in range(ROUNDS)]
    Student.objects.filter(pk__in=[line[0].pk for _course, _holders, line in crowds]).update(is_active=False)
    programs = [make_program() for _ in range(2)]

    def act(runner, number):
        course, [holder], [waiter] = crowds[number]
        if runner == 0:
            programs[0].patch(f"/api/v1/students/{waiter.pk}", {"is_active": True})
        else:
            programs[1].delete(f"/api/v1/students/{holder.pk}/courses/{course.pk}")

    race(act, ROUNDS, runners=2)

    assert [enrolled_in(course) for course, _holders, _line in crowds] == [
        ids(line) for _course, _holders, line in crowds
    ]
    assert violations() == []


def test_a_student_who_completes_a_prerequisite_while_the_seat_is_freed_gets_it():
    crowds = [full_course_with_waitlist(seats=1, waiting=1) for _ in range(ROUNDS)]
    basics = make_course(code="BASIC")
    Course.objects.exclude(pk=basics.pk).update(prerequisites=["BASIC"])
    enroll_many([(line[0].pk, basics.pk) for _course, _holders, line in crowds], actor=ORIGIN)

    def act(runner, number):
        course, [holder], [waiter] = crowds[number]
        verb, student, about = [(complete, waiter, basics), (drop, holder, course)][runner]
        verb(student_id=student.pk, course_id=about.pk, actor=ORIGIN)

    race(act, ROUNDS, runners=2)

    assert [enrolled_in(course) for course, _holders, _line in crowds] == [
        ids(line) for _course, _holders, line in crowds
    ]
    assert violations() == []
    assert StudentCourse.objects.completed().count() == ROUNDS
