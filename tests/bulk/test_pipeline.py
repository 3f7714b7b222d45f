"""The life of an import from its receipt to its end, and its undo."""

import io

import pytest
from django.db import IntegrityError, transaction

from bulk.import_file_store import CHUNK_BYTES, open_stored, store_file
from bulk.jobs.import_actions import approve, cancel, start_undo
from bulk.jobs.submission import AlreadyApplied, ImportRequest, submit
from bulk.models import ACTIVE_STATES, TRANSITIONS, Import, ImportChannel, State
from courses.models import Course
from school.refusals import Refused
from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported, outcomes, worked_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def fall():
    """A term with a course, and three students."""
    term = make_term(code="2026F")
    make_course(code="M-1", term=term)
    return [make_student(student_number=f"S-{n}") for n in (1, 2, 3)]


def latest_statuses():
    rows = StudentCourse.objects.latest_per_student_and_course().order_by("student__student_number", "course__code")
    return list(rows.values_list("student__student_number", "course__code", "status"))


def codes_of(refused):
    return [refusal.code for refusal in refused.value.refusals]


# States


def test_every_state_has_its_transitions_and_all_but_final_states_are_active():
    assert set(TRANSITIONS) == set(State)
    assert {state for state in State if not TRANSITIONS[state]} == {State.UNDONE}
    assert set(ACTIVE_STATES) == {State.VALIDATING, State.NEEDS_REVIEW, State.APPLYING}


def test_a_second_import_of_a_dataset_is_refused_while_one_is_active(fall):
    first = imported(ENROLLMENTS + "S-1,M-1,,,,\n", review="always")

    with pytest.raises(Refused) as refused:
        imported(ENROLLMENTS + "S-2,M-1,,,,\n")

    assert codes_of(refused) == ["import_in_progress"]
    assert imported(ENROLLMENTS + "S-2,M-1,,,,\n", dataset="other").state == State.DONE
    cancel(first.pk)
    assert imported(ENROLLMENTS + "S-3,M-1,,,,\n").state == State.DONE


def test_the_database_refuses_a_second_active_import_of_a_dataset(registrar, viewer):
    for client in (None, registrar, viewer):
        Import.objects.create(kind="students", door=ImportChannel.API, request_id="r", client=client)

    for client in (None, registrar):
        with pytest.raises(IntegrityError), transaction.atomic():
            Import.objects.create(kind="courses", door=ImportChannel.API, request_id="r", client=client)


def test_the_last_applied_file_is_not_applied_again_without_the_option(fall):
    text = ENROLLMENTS + "S-1,M-1,,,,\n"
    first = imported(text)

    with pytest.raises(AlreadyApplied) as same:
        imported(text)

    assert same.value.earlier == first
    assert imported(text, again=True).counts == {"unchanged": 1}
    assert EnrollmentEvent.objects.count() == 1


def test_after_an_undo_or_with_other_options_a_file_is_no_repetition(fall):
    text = ENROLLMENTS + "S-1,M-1,,,,\n"
    first = imported(text)
    assert imported(text, on_error="skip").counts == {"unchanged": 1}

    worked_on(start_undo(first.pk, channel=ImportChannel.API, request_id="u"))

    assert imported(text, again=False).counts == {"enrolled": 1}


@pytest.mark.parametrize(
    ("wish", "codes"),
    [
        ({"kind": "teachers"}, ["invalid_choice"]),
        ({"kind": "students", "mode": "full", "scope": "term:2026F"}, ["mode_not_offered"]),
        ({"kind": "students", "options": {"on_full": "reject"}}, ["unknown_option"]),
        ({"options": {"on_full": "squeeze"}}, ["invalid_choice"]),
        ({"options": {"term": "2099F"}}, ["term_not_found"]),
        ({"mode": "full"}, ["invalid_scope"]),
        ({"mode": "full", "scope": "school:all"}, ["invalid_scope"]),
        ({"scope": "term:2026F"}, ["invalid_scope"]),
        ({"mode": "full", "scope": "term:2099F"}, ["term_not_found"]),
        ({"mode": "full", "scope": "course:M-9"}, ["course_not_found"]),
    ],
)
def test_invalid_options_are_refused_and_nothing_is_stored(fall, wish, codes):
    with pytest.raises(Refused) as refused:
        imported(ENROLLMENTS, **wish)

    assert (codes_of(refused), Import.objects.count()) == (codes, 0)


# Preview and approval


def test_an_approval_applies_the_changes_of_the_preview(fall):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\nS-2,M-1,,,,\n", review="always")
    assert (job.state, job.counts, outcomes(job)) == (
        State.NEEDS_REVIEW,
        {"enrolled": 2},
        [(2, "enrolled", []), (3, "enrolled", [])],
    )
    assert (latest_statuses(), EnrollmentEvent.objects.count()) == ([], 0)

    job = worked_on(approve(job.pk))

    assert (job.state, job.counts, job.checkpoint) == (State.DONE, {"enrolled": 2}, 2)
    assert latest_statuses() == [("S-1", "M-1", "enrolled"), ("S-2", "M-1", "enrolled")]
    assert set(EnrollmentEvent.objects.values_list("file_import", flat=True)) == {job.pk}


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_an_approval_must_be_repeated_if_the_data_changed_after_the_preview(fall, on_error):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\nS-2,M-1,,,,\n", review="always", on_error=on_error)
    enroll(student_id=fall[0].pk, course_id=Course.objects.get().pk, actor=ActorContext(Channel.SYSTEM))

    job = worked_on(approve(job.pk))

    assert (job.state, [problem["code"] for problem in job.problems]) == (State.NEEDS_REVIEW, ["changed_since_preview"])
    assert job.counts == {"unchanged": 1, "enrolled": 1}
    assert latest_statuses() == [("S-1", "M-1", "enrolled")]
    assert worked_on(approve(job.pk)).state == State.DONE


def test_with_abort_a_preview_with_errors_fails_and_reports_every_error(fall):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\nS-9,M-9,,,,\n", review="always")

    assert (job.state, [problem["code"] for problem in job.problems]) == (State.FAILED, ["rows_with_errors"])
    assert outcomes(job) == [(2, "enrolled", []), (3, "error", ["student_not_found", "course_not_found"])]


def test_an_import_of_an_unreadable_file_fails_with_the_reason(fall):
    job = imported("nonsense\n")

    assert (job.state, job.problems[0]["code"], job.counts) == (State.FAILED, "missing_column", {})


@pytest.mark.parametrize("verb", [approve, cancel])
def test_a_finished_import_cannot_be_approved_or_cancelled(fall, verb):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\n")

    with pytest.raises(Refused) as refused:
        verb(job.pk)

    assert codes_of(refused) == ["import_not_possible"]


def test_the_refusal_of_an_impossible_action_names_the_state(fall):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\n", review="always")

    with pytest.raises(Refused) as refused:
        start_undo(job.pk, channel=ImportChannel.COMMAND, request_id="x", actor=None)

    message = f"The state of import {job.pk} is “needs review” and cannot become “undone”."
    assert [refusal.message for refusal in refused.value.refusals] == [message]


# Full files


@pytest.fixture
def full_term(fall):
    """Enroll twenty students in M-1 of 2026F by a file; return a function that imports a full file of some of them."""
    numbers = [make_student(student_number=f"N-{n:02}").student_number for n in range(20)]
    imported(ENROLLMENTS + "".join(f"{number},M-1,,,,\n" for number in numbers))

    def full(left_out, **wish):
        listed = [number for number in numbers if number not in left_out]
        text = ENROLLMENTS + "".join(f"{number},M-1,,,,\n" for number in listed)
        return imported(text, **{"mode": "full", "scope": "term:2026F", **wish})

    return full


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_a_full_file_drops_students_that_it_does_not_list(full_term, on_error):
    job = full_term({"N-00", "N-01"}, on_error=on_error)

    assert (job.state, job.counts, job.ending, job.in_scope) == (State.DONE, {"unchanged": 18, "dropped": 2}, 2, 20)
    assert StudentCourse.objects.open().count() == 18


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_a_full_file_that_would_drop_more_than_a_tenth_waits_for_approval(full_term, on_error):
    job = full_term({"N-00", "N-01", "N-02"}, on_error=on_error)
    assert (job.state, job.ending, StudentCourse.objects.open().count()) == (State.NEEDS_REVIEW, 3, 20)

    job = worked_on(approve(job.pk))

    assert (job.state, StudentCourse.objects.open().count()) == (State.DONE, 17)


def test_a_full_file_keeps_enrollments_that_were_changed_manually(full_term, registrar):
    student, course = Student.objects.get(student_number="N-00"), Course.objects.get()
    by_hand = ActorContext(Channel.ADMIN, actor_id=registrar.pk)
    drop(student_id=student.pk, course_id=course.pk, actor=by_hand)
    enroll(student_id=student.pk, course_id=course.pk, actor=by_hand)

    job = full_term({"N-00", "N-01"})

    assert job.counts == {"unchanged": 18, "kept_manual": 1, "dropped": 1}
    assert (0, "kept_manual", []) in outcomes(job)
    assert StudentCourse.objects.open().filter(student=student).exists()


def test_a_full_file_affects_only_its_own_dataset_and_scope(full_term, fall):
    other = make_course(code="M-2", term=make_term(code="2027S"))
    enroll(student_id=fall[0].pk, course_id=other.pk, actor=ActorContext(Channel.SYSTEM))
    imported(ENROLLMENTS + "S-1,M-1,,,,\n", dataset="evening school")

    job = full_term({"N-00"})

    assert (job.counts, job.in_scope) == ({"unchanged": 19, "dropped": 1, "kept_other_source": 1}, 20)


def test_a_full_file_row_outside_its_scope_is_an_error(fall):
    make_course(code="M-2", term=make_term(code="2027S"))

    job = imported(ENROLLMENTS + "S-1,M-2,,,,\n", mode="full", scope="term:2026F")

    assert (job.state, outcomes(job)) == (State.FAILED, [(2, "error", ["out_of_scope"])])


def test_an_unreadable_row_of_a_full_file_prevents_all_drops(full_term):
    listed = "".join(f"N-{n:02},M-1,,,,\n" for n in range(1, 20))

    job = imported(ENROLLMENTS + listed + "N-00;M-1\n", mode="full", scope="term:2026F", on_error="skip")

    assert (job.state, job.counts) == (State.DONE_WITH_ERRORS, {"unchanged": 19, "error": 1, "kept_uncertain": 1})
    assert StudentCourse.objects.open().count() == 20


def test_the_term_option_applies_to_rows_without_a_term(fall):
    make_course(code="M-1", term=make_term(code="2027S"))

    job = imported(ENROLLMENTS + "S-1,M-1,,,,\n", options={"term": "2027S"})

    assert job.counts == {"enrolled": 1}
    assert StudentCourse.objects.get().course.full_code == "M-1@2027S"


# Undo


def undone(job, **wish):
    worked_on(job_of := start_undo(job.pk, **{"channel": ImportChannel.API, "request_id": "u", **wish}))
    job_of.refresh_from_db()
    job.refresh_from_db()
    return job_of


def test_an_undo_reverts_each_row_and_the_journal_records_both(fall):
    enroll(student_id=fall[0].pk, course_id=Course.objects.get().pk, actor=ActorContext(Channel.SYSTEM))
    before = latest_statuses()
    job = imported(ENROLLMENTS + "S-1,M-1,,completed,A,\nS-2,M-1,,,,\n")

    undo = undone(job)

    assert (undo.state, undo.counts, job.state) == (State.DONE, {"reversed": 2}, State.UNDONE)
    assert [row for row in latest_statuses() if row[2] == "enrolled"] == before
    assert StudentCourse.objects.get(student=fall[0]).grade == ""
    tagged = EnrollmentEvent.objects.filter(file_import__isnull=False).order_by("pk")
    assert list(tagged.values_list("action", "file_import")) == [
        ("complete", job.pk),
        ("enroll", job.pk),
        ("undo", undo.pk),
        ("undo", undo.pk),
    ]


def test_a_dry_run_of_an_undo_changes_nothing(fall):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\n")

    undo = undone(job, dry_run=True)

    assert (undo.counts, job.state, latest_statuses()) == ({"reversed": 1}, State.DONE, [("S-1", "M-1", "enrolled")])


def test_an_undo_keeps_rows_that_were_changed_after_the_import(fall):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\nS-2,M-1,,,,\n")
    drop(student_id=fall[0].pk, course_id=Course.objects.get().pk, actor=ActorContext(Channel.ADMIN))

    undo = undone(job)

    assert (undo.counts, job.state) == ({"kept": 1, "reversed": 1}, State.PARTLY_UNDONE)
    assert [row[:2] for row in outcomes(undo)] == [(3, "reversed"), (2, "kept")]
    assert undone(job).counts == {"kept": 1}


def test_waitlisted_students_are_promoted_after_an_undo_and_not_during_it(fall):
    one, _two, three = fall
    course = Course.objects.get()
    course.capacity, course.waitlist_capacity = 1, 5
    course.save()
    actor = ActorContext(Channel.SYSTEM)
    enroll(student_id=one.pk, course_id=course.pk, actor=actor)
    job = imported(ENROLLMENTS + "S-1,M-1,,dropped,,\nS-2,M-1,,,,\n")
    enroll(student_id=three.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    assert undone(job).counts == {"reversed": 2}

    assert latest_statuses() == [("S-1", "M-1", "enrolled"), ("S-2", "M-1", "dropped"), ("S-3", "M-1", "waitlisted")]


def test_a_seat_freed_by_an_undo_goes_to_the_waitlist(fall):
    course = Course.objects.get()
    course.capacity, course.waitlist_capacity = 1, 5
    course.save()
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\nS-2,M-1,,waitlisted,,\n")
    enroll(student_id=fall[2].pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=ActorContext(Channel.SYSTEM))

    undone(job)

    assert latest_statuses() == [("S-1", "M-1", "dropped"), ("S-2", "M-1", "dropped"), ("S-3", "M-1", "enrolled")]


def test_undoing_a_student_file_deletes_new_students_and_restores_changed_ones(fall):
    header = "student_number,given_name,family_name\n"
    Student.objects.filter(student_number="S-1").update(given_name="Ada")
    imported(header + "S-1,Ada,Byron\n", kind="students")
    job = imported(header + "S-1,Augusta,King\nS-7,New,One\nS-8,With,History\n", kind="students")
    enrolled = Student.objects.get(student_number="S-8")
    enroll(student_id=enrolled.pk, course_id=Course.objects.get().pk, actor=ActorContext(Channel.SYSTEM))

    undo = undone(job)

    assert (undo.counts, job.state) == ({"reversed": 2, "kept": 1}, State.PARTLY_UNDONE)
    ada = Student.objects.get(student_number="S-1")
    assert (ada.given_name, ada.family_name) == ("Ada", "Byron")
    assert set(Student.objects.values_list("student_number", flat=True)) == {"S-1", "S-2", "S-3", "S-8"}


def test_an_undo_keeps_a_course_that_was_changed_after_the_import(fall):
    header = "course_code,term,name,level\n"
    job = imported(header + "M-1,2026F,Renamed,graduate\nM-7,2026F,New,graduate\n", kind="courses")
    course = Course.objects.get(code="M-1")
    course.name = "By hand"
    course.save()

    undo = undone(job)

    assert undo.counts == {"reversed": 1, "kept": 1}
    assert list(Course.objects.values_list("code", "name")) == [("M-1", "By hand")]


def test_an_import_that_applied_nothing_or_was_undone_cannot_be_undone(fall):
    failed = imported(ENROLLMENTS + "S-9,M-1,,,,\n")
    done = imported(ENROLLMENTS + "S-1,M-1,,,,\n")
    undone(done)

    for job in (failed, done):
        with pytest.raises(Refused) as refused:
            undone(job)
        assert codes_of(refused) == ["import_not_possible"]


# The kept file


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
def test_a_stored_file_is_read_repeatedly_with_its_original_content(size):
    content = bytes(n % 251 for n in range(size))
    job = Import.objects.create(kind="students", door=ImportChannel.API, request_id="r")

    store_file(io.BytesIO(content), job)

    with open_stored(job) as kept:
        assert kept.read() == content
        kept.seek(0)
        assert kept.read() == content
    assert job.size == size


def test_a_received_file_is_stored_completely_or_not_at_all(fall, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bulk.import_file_store.zlib.compress", full_disk)

    with pytest.raises(OSError, match="No space left"):
        submit(io.BytesIO(b"x"), ImportRequest(kind="students", channel=ImportChannel.API, request_id="r"))

    assert Import.objects.count() == 0
