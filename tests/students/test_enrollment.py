"""The verbs: what they write, what they refuse, and what they cost."""

import re
from datetime import UTC, date, datetime
from itertools import groupby

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from school.refusals import Refused
from students.acts import Act, Origin
from students.enrollment import complete, complete_many, drop, drop_many, enroll, enroll_many, judge, perform, undo_many
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse
from tests.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

DAY = datetime(2026, 9, 15, 12, tzinfo=UTC)


def pairs(count, course):
    return [(make_student().pk, course.pk) for _ in range(count)]


def statuses(course):
    return list(StudentCourse.objects.filter(course=course).order_by("pk").values_list("status", flat=True))


@time_machine.travel(DAY, tick=False)
def test_enrolling_makes_an_open_enrollment(origin):
    student, course = make_student(), make_course()

    outcome = enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    [enrollment] = student.enrollments.all()
    assert (outcome.changed, outcome.enrollment) == (True, enrollment)
    assert (enrollment.status, enrollment.enrolled_on, enrollment.ended_on) == ("enrolled", date(2026, 9, 15), None)
    assert (enrollment.version, enrollment.created_at, enrollment.updated_at) == (1, DAY, DAY)
    assert list(student.courses.all()) == [course]


def test_enrolling_twice_finds_the_first_enrollment(origin):
    student, course = make_student(), make_course()
    first = enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    second = enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    assert (second.changed, second.enrollment) == (False, first.enrollment)
    assert EnrollmentEvent.objects.count() == 1


def test_a_refusal_has_every_reason_and_writes_nothing(origin):
    student, course = make_student(is_active=False), make_course(is_active=False, capacity=0)

    with pytest.raises(Refused) as refused:
        enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    assert [r.code for r in refused.value.refusals] == ["student_inactive", "course_inactive", "course_full"]
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


def test_the_last_seat_of_a_batch_goes_to_the_first_row(origin):
    course = make_course(capacity=1)

    outcomes = enroll_many(pairs(3, course), origin=origin)

    assert [outcome.accepted for outcome in outcomes] == [True, False, False]


def test_a_seat_that_a_batch_frees_is_free_for_its_next_row(origin):
    course = make_course(capacity=1)
    leaving, coming = make_student(), make_student()
    enroll(student_id=leaving.pk, course_id=course.pk, origin=origin)

    acts = [Act(Action.DROP, leaving.pk, course.pk), Act(Action.ENROLL, coming.pk, course.pk)]

    assert [outcome.changed for outcome in perform(acts, origin)] == [True, True]
    assert statuses(course) == ["dropped", "enrolled"]


def test_leaving_and_coming_back_in_one_batch_leaves_two_rows_and_the_whole_story(origin):
    student, course = make_student(), make_course()
    acts = [Act(action, student.pk, course.pk) for action in (Action.ENROLL, Action.DROP, Action.ENROLL)]

    perform(acts, origin)

    assert statuses(course) == ["dropped", "enrolled"]
    story = EnrollmentEvent.objects.values_list("from_status", "to_status")
    assert list(story) == [("", "enrolled"), ("enrolled", "dropped"), ("", "enrolled")]


def test_who_comes_back_gets_a_new_row_and_keeps_the_old_one(origin):
    student, course = make_student(), make_course()
    for verb in (enroll, drop, enroll):
        verb(student_id=student.pk, course_id=course.pk, origin=origin)

    assert statuses(course) == ["dropped", "enrolled"]


@pytest.mark.parametrize(("deadline", "expected"), [("2026-09-15", "dropped"), ("2026-09-14", "withdrawn")])
def test_the_drop_deadline_of_the_term_decides(origin, deadline, expected):
    course = make_course(term=make_term(drop_deadline=deadline))
    student = make_student()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)
    with time_machine.travel(DAY, tick=False):
        StudentCourse.objects.update(enrolled_on="2026-09-01")
        outcome = drop(student_id=student.pk, course_id=course.pk, origin=origin)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.status, outcome.enrollment.ended_on) == (expected, date(2026, 9, 15))


@time_machine.travel(datetime(2026, 9, 16, 3, tzinfo=UTC))
def test_the_deadline_is_a_day_in_the_schools_time_zone(origin, settings):
    settings.TIME_ZONE = "America/New_York"  # where it is still the 15th
    student, course = make_student(), make_course(term=make_term(drop_deadline="2026-09-15"))
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    drop(student_id=student.pk, course_id=course.pk, origin=origin)

    assert statuses(course) == ["dropped"]


def test_a_second_drop_changes_nothing(origin):
    student, course = make_student(), make_course()
    for verb in (enroll, drop):
        verb(student_id=student.pk, course_id=course.pk, origin=origin)

    assert drop(student_id=student.pk, course_id=course.pk, origin=origin).changed is False
    assert EnrollmentEvent.objects.count() == 2


def test_a_grade_can_be_corrected_and_the_end_stays(origin):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)
    complete(student_id=student.pk, course_id=course.pk, grade="B", origin=origin)

    outcome = complete(student_id=student.pk, course_id=course.pk, grade="A", origin=origin)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.grade, outcome.enrollment.version) == ("A", 3)
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.from_status, event.to_status, event.changes) == ("completed", "completed", {"grade": ["B", "A"]})


@time_machine.travel(DAY, tick=False)
def test_the_journal_says_who_when_through_which_door_and_what(registrar):
    student, course = make_student(), make_course()
    by_registrar = Origin(Channel.ADMIN, actor_id=registrar.pk, request_id="request-7")
    enroll(student_id=student.pk, course_id=course.pk, origin=by_registrar, reason="transfer")
    complete(student_id=student.pk, course_id=course.pk, grade="A", origin=by_registrar)

    first, second = EnrollmentEvent.objects.all()
    assert (first.action, first.from_status, first.to_status) == ("enroll", "", "enrolled")
    assert (first.at, first.actor, first.channel, first.reason) == (DAY, registrar, "admin", "transfer")
    assert (first.request_id, first.waived) == ("request-7", [])
    assert first.changes == {"enrolled_on": [None, "2026-09-15"]}
    assert (second.action, second.from_status, second.to_status) == ("complete", "enrolled", "completed")
    assert second.changes == {"ended_on": [None, "2026-09-15"], "grade": ["", "A"]}


def test_a_failed_transaction_leaves_neither_row_nor_journal(origin):
    student, course = make_student(), make_course()
    with pytest.raises(RuntimeError), transaction.atomic():
        enroll(student_id=student.pk, course_id=course.pk, origin=origin)
        raise RuntimeError

    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


def test_judging_answers_as_doing_would_and_changes_nothing(origin):
    course = make_course(capacity=2)
    acts = [Act(Action.ENROLL, *pair) for pair in pairs(3, course)]

    judged = judge(acts, origin)

    assert StudentCourse.objects.count() == 0
    done = perform(acts, origin)
    assert [(o.changed, o.refusals) for o in judged] == [(o.changed, o.refusals) for o in done]


@pytest.mark.parametrize("verb", [enroll_many, drop_many, complete_many])
def test_a_batch_of_none_is_no_work(verb, origin):
    assert verb([], origin=origin) == []


def statements_of(verb, *args, **options):
    """The statements of a call by verb and table. The chunks of one insert, which SQLite bounds, count as one."""
    with CaptureQueriesContext(connection) as queries:
        verb(*args, **options)
    # Ids are drawn, and the row of the journal announced, by statements of their own where rows are copied in.
    statements = [query["sql"] for query in queries if not re.search("pg_advisory|nextval", query["sql"])]
    statements = [re.sub("^COPY", "INSERT", statement) for statement in statements]
    found = [re.findall(r'^\(?(\w+).*?"(\w+)"', statement)[0] for statement in statements]
    work = [kind for kind in found if kind[0] not in ("SAVEPOINT", "RELEASE")]
    return [kind for kind, chunks in groupby(work) for _ in ([0] if kind[0] == "INSERT" else chunks)]


@pytest.mark.parametrize(
    ("prepare", "verb", "selects"),
    [
        (None, enroll_many, 4),  # courses, seats taken and who waits, students, enrollments
        (enroll_many, drop_many, 4),
        (enroll_many, complete_many, 5),  # and what else the students wait for
        (enroll_many, undo_many, 5),  # and what was done last
    ],
)
def test_a_batch_of_a_thousand_costs_the_queries_of_a_batch_of_one(prepare, verb, selects, origin):
    costs = []
    for size in (1, 1_000):
        rows = pairs(size, make_course(capacity=2_000))
        if prepare:
            prepare(rows, origin=origin)
        costs.append(statements_of(verb, rows, origin=origin))

    assert costs[0] == costs[1]
    assert [kind for kind, _table in costs[0]] == ["SELECT"] * selects + ["INSERT"] * 2


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("enrollment_has_ended_when_not_open", {"status": Status.DROPPED}),
        ("enrollment_has_ended_when_not_open", {"ended_on": "2026-12-01"}),
        ("enrollment_ends_after_it_starts", {"status": Status.DROPPED, "ended_on": "2026-08-31"}),
        ("enrollment_waits_since_an_instant", {"status": Status.WAITLISTED, "enrolled_on": None}),
        ("enrollment_has_a_day_of_enrollment", {"enrolled_on": None}),
        ("enrollment_is_graded_when_completed", {"grade": "A"}),
        ("enrollment_has_ended_when_not_open", {"status": "gone"}),
    ],
)
def test_the_database_refuses_what_cannot_be(name, fields):
    row = {"status": Status.ENROLLED, "enrolled_on": "2026-09-01", **fields}

    with pytest.raises(IntegrityError, match=name):
        StudentCourse.objects.create(student=make_student(), course=make_course(), **row)


def test_the_database_refuses_a_second_open_enrollment():
    student, course = make_student(), make_course()
    row = {"student": student, "course": course, "status": Status.ENROLLED, "enrolled_on": "2026-09-01"}
    StudentCourse.objects.create(**row)

    with pytest.raises(IntegrityError):
        StudentCourse.objects.create(**row)
