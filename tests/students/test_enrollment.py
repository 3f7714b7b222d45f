"""The enrollment service: its writes, its refusals and its query counts."""

import re
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import groupby

import pytest
import time_machine
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from school.access.access_log import Door
from school.refusals import Refused
from students.enrollment import (
    complete,
    complete_many,
    drop,
    drop_many,
    dry_run,
    enroll,
    enroll_many,
    execute,
    preview_commands,
    undo_many,
)
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse
from students.privacy.erase import erase
from students.privacy.person_lookup import person_of
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

DAY = datetime(2026, 9, 15, 12, tzinfo=UTC)


def pairs(count, course):
    return [(make_student().pk, course.pk) for _ in range(count)]


def statuses(course):
    return list(StudentCourse.objects.filter(course=course).order_by("pk").values_list("status", flat=True))


@time_machine.travel(DAY, tick=False)
def test_enrolling_creates_an_open_enrollment(actor):
    student, course = make_student(), make_course()

    outcome = enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    [enrollment] = student.enrollments.all()
    assert (outcome.changed, outcome.enrollment) == (True, enrollment)
    assert (enrollment.status, enrollment.enrolled_on, enrollment.ended_on) == ("enrolled", date(2026, 9, 15), None)
    assert (enrollment.version, enrollment.created_at, enrollment.updated_at) == (1, DAY, DAY)
    assert list(student.courses.all()) == [course]


def test_enrolling_twice_returns_the_first_enrollment(actor):
    student, course = make_student(), make_course()
    first = enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    second = enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    assert (second.changed, second.enrollment) == (False, first.enrollment)
    assert EnrollmentEvent.objects.count() == 1


def test_a_refusal_has_every_reason_and_writes_nothing(actor):
    student, course = make_student(is_active=False), make_course(is_active=False, capacity=0)

    with pytest.raises(Refused) as refused:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    assert [r.code for r in refused.value.refusals] == ["student_inactive", "course_inactive", "course_full"]
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


def test_the_last_seat_of_a_batch_goes_to_the_first_row(actor):
    course = make_course(capacity=1)

    outcomes = enroll_many(pairs(3, course), actor=actor)

    assert [outcome.accepted for outcome in outcomes] == [True, False, False]


def test_a_seat_freed_by_a_batch_is_free_for_its_next_row(actor):
    course = make_course(capacity=1)
    leaving, coming = make_student(), make_student()
    enroll(student_id=leaving.pk, course_id=course.pk, actor=actor)

    acts = [
        EnrollmentCommand(Action.DROP, leaving.pk, course.pk),
        EnrollmentCommand(Action.ENROLL, coming.pk, course.pk),
    ]

    assert [outcome.changed for outcome in execute(acts, actor)] == [True, True]
    assert statuses(course) == ["dropped", "enrolled"]


def test_dropping_and_enrolling_again_in_a_batch_makes_two_rows_and_all_events(actor):
    student, course = make_student(), make_course()
    acts = [EnrollmentCommand(action, student.pk, course.pk) for action in (Action.ENROLL, Action.DROP, Action.ENROLL)]

    execute(acts, actor)

    assert statuses(course) == ["dropped", "enrolled"]
    story = EnrollmentEvent.objects.values_list("from_status", "to_status")
    assert list(story) == [("", "enrolled"), ("enrolled", "dropped"), ("", "enrolled")]


def test_enrolling_again_creates_a_new_row_and_keeps_the_old_one(actor):
    student, course = make_student(), make_course()
    for verb in (enroll, drop, enroll):
        verb(student_id=student.pk, course_id=course.pk, actor=actor)

    assert statuses(course) == ["dropped", "enrolled"]


@pytest.mark.parametrize(("deadline", "expected"), [("2026-09-15", "dropped"), ("2026-09-14", "withdrawn")])
def test_the_drop_deadline_of_the_term_separates_dropped_from_withdrawn(actor, deadline, expected):
    course = make_course(term=make_term(drop_deadline=deadline))
    student = make_student()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    with time_machine.travel(DAY, tick=False):
        StudentCourse.objects.update(enrolled_on="2026-09-01")
        outcome = drop(student_id=student.pk, course_id=course.pk, actor=actor)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.status, outcome.enrollment.ended_on) == (expected, date(2026, 9, 15))


@time_machine.travel(datetime(2026, 9, 16, 3, tzinfo=UTC))
def test_the_drop_deadline_is_a_day_in_the_time_zone_of_the_school(actor, settings):
    settings.TIME_ZONE = "America/New_York"  # where it is still the 15th
    student, course = make_student(), make_course(term=make_term(drop_deadline="2026-09-15"))
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    drop(student_id=student.pk, course_id=course.pk, actor=actor)

    assert statuses(course) == ["dropped"]


def test_a_second_drop_changes_nothing(actor):
    student, course = make_student(), make_course()
    for verb in (enroll, drop):
        verb(student_id=student.pk, course_id=course.pk, actor=actor)

    assert drop(student_id=student.pk, course_id=course.pk, actor=actor).changed is False
    assert EnrollmentEvent.objects.count() == 2


def test_correcting_a_grade_keeps_the_end_date(actor):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    complete(student_id=student.pk, course_id=course.pk, grade="B", actor=actor)

    outcome = complete(student_id=student.pk, course_id=course.pk, grade="A", actor=actor)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.grade, outcome.enrollment.version) == ("A", 3)
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.from_status, event.to_status, event.changes) == ("completed", "completed", {"grade": ["B", "A"]})


@time_machine.travel(DAY, tick=False)
def test_the_journal_records_actor_time_channel_reason_and_changes(registrar):
    student, course = make_student(), make_course()
    by_registrar = ActorContext(Channel.ADMIN, actor_id=registrar.pk, request_id="request-7")
    enroll(student_id=student.pk, course_id=course.pk, actor=by_registrar, reason="transfer")
    complete(student_id=student.pk, course_id=course.pk, grade="A", actor=by_registrar)

    first, second = EnrollmentEvent.objects.all()
    assert (first.action, first.from_status, first.to_status) == ("enroll", "", "enrolled")
    assert (first.at, first.actor, first.channel, first.reason) == (DAY, registrar, "admin", "transfer")
    assert (first.request_id, first.waived) == ("request-7", [])
    assert first.changes == {"enrolled_on": [None, "2026-09-15"]}
    assert (second.action, second.from_status, second.to_status) == ("complete", "enrolled", "completed")
    assert second.changes == {"ended_on": [None, "2026-09-15"], "grade": ["", "A"]}


def test_a_failed_transaction_leaves_neither_row_nor_journal_entry(actor):
    student, course = make_student(), make_course()
    with pytest.raises(RuntimeError), transaction.atomic():
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        raise RuntimeError

    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


def test_a_dry_run_returns_the_outcomes_of_the_real_run_and_changes_nothing(actor):
    course = make_course(capacity=2)
    acts = [EnrollmentCommand(Action.ENROLL, *pair) for pair in pairs(3, course)]

    judged = dry_run(acts, actor)

    assert StudentCourse.objects.count() == 0
    done = execute(acts, actor)
    assert [(o.changed, o.refusals) for o in judged] == [(o.changed, o.refusals) for o in done]


@pytest.mark.parametrize("verb", [enroll_many, drop_many, complete_many])
def test_an_empty_batch_runs_no_queries(verb, actor):
    assert verb([], actor=actor) == []


def test_a_batch_that_loads_statuses_only_costs_the_queries_of_one_completion(actor):
    costs = []
    for size in (1, 100):
        rows = pairs(size, make_course())
        enroll_many(rows, actor=actor)
        acts = [EnrollmentCommand(Action.COMPLETE, student_id, course_id, "A") for student_id, course_id in rows]
        costs.append(statements_of(execute, acts, actor, DecisionContext(partial_rows=True)))

    assert costs[0] == costs[1]
    assert StudentCourse.objects.filter(status="completed", grade="A", version=2).count() == 101


def statements_of(verb, *args, **options):
    """Return the statements of a call by verb and table. Chunks of one insert, which SQLite limits, count as one."""
    with CaptureQueriesContext(connection) as queries:
        verb(*args, **options)
    # Where rows are copied, separate statements reserve ids and announce the journal entry.
    statements = [query["sql"] for query in queries if not re.search("pg_advisory|nextval", query["sql"])]
    # SQLite gets an UPDATE with the values of all rows, which Django splits by their number.
    statements = [re.sub(r"^\d+ times: ", "", re.sub("^COPY", "INSERT", statement)) for statement in statements]
    found = [re.findall(r'^\(?(\w+).*?"(\w+)"', statement)[0] for statement in statements]
    work = [kind for kind in found if kind[0] not in ("SAVEPOINT", "RELEASE")]
    return [kind for kind, chunks in groupby(work) for _ in ([0] if kind[0] == "INSERT" else chunks)]


@pytest.mark.parametrize(
    ("prepare", "verb", "selects", "write"),
    [
        (None, enroll_many, 4, "INSERT"),  # courses, seats taken and waitlists, students, enrollments
        (enroll_many, drop_many, 4, "UPDATE"),
        (enroll_many, complete_many, 5, "UPDATE"),  # and the other waitlists of the students
        (enroll_many, undo_many, 5, "UPDATE"),  # and the last events
    ],
)
def test_a_batch_of_a_thousand_costs_the_queries_of_a_batch_of_one(prepare, verb, selects, write, actor):
    costs = []
    for size in (1, 1_000):
        rows = pairs(size, make_course(capacity=2_000))
        if prepare:
            prepare(rows, actor=actor)
        costs.append(statements_of(verb, rows, actor=actor))

    assert costs[0] == costs[1]
    assert [kind for kind, _table in costs[0]] == ["SELECT"] * selects + [write, "INSERT"]


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
def test_the_database_refuses_invalid_enrollments(name, fields):
    row = {"status": Status.ENROLLED, "enrolled_on": "2026-09-01", **fields}

    with pytest.raises(IntegrityError, match=name):
        StudentCourse.objects.create(student=make_student(), course=make_course(), **row)


def test_the_database_refuses_a_second_open_enrollment():
    student, course = make_student(), make_course()
    row = {"student": student, "course": course, "status": Status.ENROLLED, "enrolled_on": "2026-09-01"}
    StudentCourse.objects.create(**row)

    with pytest.raises(IntegrityError):
        StudentCourse.objects.create(**row)


@pytest.mark.parametrize(
    ("now", "codes"),
    [
        ("2026-12-31T23:59:59Z", []),
        ("2027-01-01T00:00:00Z", ["term_ended"]),
    ],
)
def test_a_term_accepts_enrollments_until_the_end_of_its_last_day(actor, now, codes):
    student, course = make_student(), make_course(term=make_term(ends_on="2026-12-31"))

    with time_machine.travel(now, tick=False):
        [outcome] = execute([EnrollmentCommand(Action.ENROLL, student.pk, course.pk)], actor)

    assert [refusal.code for refusal in outcome.refusals] == codes


@pytest.mark.parametrize(
    ("now", "codes"),
    [
        ("2027-01-01T07:59:59Z", []),
        ("2027-01-01T08:00:00Z", ["term_ended"]),
    ],
)
def test_the_last_day_of_a_term_ends_in_the_time_zone_of_the_school(actor, settings, now, codes):
    settings.TIME_ZONE = "America/Los_Angeles"
    student, course = make_student(), make_course(term=make_term(ends_on="2026-12-31"))

    with time_machine.travel(now, tick=False):
        [outcome] = execute([EnrollmentCommand(Action.ENROLL, student.pk, course.pk)], actor)

    assert [refusal.code for refusal in outcome.refusals] == codes


def test_a_backdated_command_is_checked_against_the_term_at_its_time(actor):
    student, course = make_student(), make_course(term=make_term(starts_on="2020-01-01", ends_on="2020-06-30"))
    then = replace(actor, at=datetime(2020, 3, 1, tzinfo=UTC))

    [outcome] = execute([EnrollmentCommand(Action.ENROLL, student.pk, course.pk)], then)

    assert (outcome.changed, outcome.refusals) == (True, ())


def test_after_the_end_of_a_term_students_can_still_complete_drop_and_undo(actor):
    course = make_course(term=make_term(ends_on="2026-12-31"))
    completing, dropping = make_student(), make_student()
    with time_machine.travel("2026-12-31T12:00Z"):
        enroll_many([(completing.pk, course.pk), (dropping.pk, course.pk)], actor=actor)

    with time_machine.travel("2027-01-02T12:00Z"):
        complete(student_id=completing.pk, course_id=course.pk, grade="A", actor=actor)
        drop(student_id=dropping.pk, course_id=course.pk, actor=actor)
        undone = undo_many([(dropping.pk, course.pk)], actor=actor)

    assert [outcome.refusals for outcome in undone] == [()]
    assert sorted(StudentCourse.objects.values_list("status", flat=True)) == ["completed", "enrolled"]


def test_an_undo_does_not_enroll_an_erased_student(actor):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)
    erase(person_of(student), reason="asked for it", door=Door.COMMAND)

    [outcome] = undo_many([(student.pk, course.pk)], actor=actor)

    assert [refusal.code for refusal in outcome.refusals] == ["illegal_transition"]
    assert StudentCourse.objects.get().status == "dropped"


PREVIEWS = [
    lambda acts, actor: [outcome.changed for outcome in dry_run(acts, actor)],
    lambda acts, actor: [step.outcome.changed for step in preview_commands(acts, actor).planned_actions],
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("preview", PREVIEWS, ids=["dry_run", "preview"])
@pytest.mark.parametrize("action", [Action.ENROLL, Action.DROP, Action.COMPLETE, Action.UNDO])
def test_a_preview_starts_no_transaction_and_takes_no_lock(actor, preview, action):
    student, course = make_student(), make_course(capacity=1, waitlist_capacity=5)
    if action != Action.ENROLL:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)

    with CaptureQueriesContext(connection) as captured:
        changed = preview([EnrollmentCommand(action, student.pk, course.pk)], actor)

    assert changed == [True]
    statements = [each["sql"] for each in captured.captured_queries]
    assert [sql for sql in statements if not sql.startswith(("SELECT", "(SELECT")) or " FOR " in sql] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("preview", PREVIEWS, ids=["dry_run", "preview"])
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows: tests/races/test_students.py")
def test_a_preview_is_not_blocked_by_a_writing_connection(actor, preview):
    acts = [EnrollmentCommand(Action.ENROLL, make_student().pk, make_course().pk)]
    writer = sqlite3.connect(connection.settings_dict["NAME"], uri=True, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(OperationalError, match="locked"), transaction.atomic():
            pass
        changed = preview(acts, actor)
    finally:
        writer.rollback()
        writer.close()

    assert changed == [True]


@pytest.mark.parametrize("preview", PREVIEWS, ids=["dry_run", "preview"])
@pytest.mark.parametrize("action", [Action.ENROLL, Action.DROP, Action.COMPLETE, Action.UNDO])
def test_a_preview_matches_the_executed_command(actor, preview, action):
    students, course = [make_student() for _ in range(3)], make_course(capacity=1, waitlist_capacity=1)
    execute(
        [EnrollmentCommand(Action.ENROLL, each.pk, course.pk, on_full=OnFull.WAITLIST) for each in students[:2]], actor
    )
    acts = [EnrollmentCommand(action, each.pk, course.pk) for each in students]

    foreseen = preview(acts, actor)

    assert foreseen == [outcome.changed for outcome in execute(acts, actor)]
