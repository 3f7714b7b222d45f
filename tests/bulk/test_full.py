"""Full files of enrollments: the enrollments they drop and keep, and the resulting state."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import students.imports.full_file_scope
import students.imports.full_files
from bulk.importers import base, import_parts
from bulk.jobs import import_run
from bulk.jobs.import_actions import approve, cancel, start_undo
from bulk.models import Import, ImportChannel, State
from bulk.row_result_store import stored_results
from courses.models import Course
from school.refusals import Refused
from students.enrollment import drop, enroll, undo
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.events.journal import replay, replayable_snapshot
from students.imports import EnrollmentImporter
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse
from tests.bulk.test_worker import Killed, expire_lease
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import imported, outcomes, without_parts, work, worked_on
from tools.fuzz import examples

pytestmark = pytest.mark.django_db

HEADER = "student_number,course_code,status,grade\n"
NUMBERS = [f"F{n:02}" for n in range(1, 21)]
API = ActorContext(Channel.API)


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of two rows, so that a few rows make several chunks."""
    for module in (import_parts, base, students.imports.full_files, students.imports.full_file_scope):
        monkeypatch.setattr(module, "CHUNK_SIZE", 2)


@pytest.fixture
def term():
    return make_term(code="2026F")


@pytest.fixture
def course(term):
    """A course of twenty seats, all taken by students whom a file of the dataset has enrolled."""
    course = make_course(code="M-1", term=term, capacity=20, waitlist_capacity=5)
    for number in [*NUMBERS, "X1", "X2"]:
        make_student(student_number=number)
    imported(listing(NUMBERS))
    return course


def listing(numbers, *more):
    rows = [*(f"{number},M-1,," for number in numbers), *more]
    return HEADER + "".join(f"{row}\n" for row in rows)


def full(text, **wish):
    return imported(text, **{"mode": "full", "scope": "term:2026F", "on_error": "skip", "again": True, **wish})


def open_statuses(course_code="M-1"):
    """Return the status of each student who is enrolled or waitlisted in a course."""
    rows = StudentCourse.objects.open().filter(course__code=course_code).order_by("student__student_number")
    return dict(rows.values_list("student__student_number", "status"))


def by_api(number, course, **wish):
    student = Student.objects.get(student_number=number)
    return enroll(student_id=student.pk, course_id=course.pk, actor=API, **wish)


def codes(job):
    return [problem["code"] for problem in job.problems]


# Faulty rows


@pytest.mark.parametrize("scope", ["term:2026F", "course:M-1"])
@pytest.mark.parametrize(
    ("faulty", "code"),
    [
        ("F2O,M-1,,", "student_not_found"),
        (",M-1,,", "blank"),
        ("F20,M-I,,", "course_not_found"),
        ("F20,,,", "blank"),
        ("F20,M-2,,", "out_of_scope"),
        ("F20,M-3,,", "course_ambiguous"),
        ("F2O,M-I,,", "student_not_found"),
        ("F2O,M-2,,", "student_not_found"),
    ],
)
def test_a_full_file_keeps_an_enrollment_that_a_faulty_row_may_refer_to(course, scope, faulty, code):
    make_course(code="M-2", term=make_term(code="2027S"))
    for name in ("2028S", "2029S"):
        make_course(code="M-3", term=make_term(code=name))

    job = full(listing(NUMBERS[:19], faulty), scope=scope)

    assert job.state == State.DONE_WITH_ERRORS
    assert job.counts == {"unchanged": 19, "error": 1, "kept_uncertain": 1}
    assert next(found for number, _outcome, found in outcomes(job) if number == 21)[0] == code
    assert open_statuses() == dict.fromkeys(NUMBERS, "enrolled")
    assert without_parts(job.problems) == [
        {
            "code": "kept_uncertain",
            "field": None,
            "message": (
                "Some enrollments that the file does not list were kept, because rows with errors may refer to them."
                " Rows: 21."
            ),
        }
    ]


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_full_file_with_an_unreadable_row_drops_nobody(course, on_error):
    by_api("X1", make_course(code="M-2", term=course.term))

    job = full(listing(NUMBERS[:18], '"a","b","c","d","e","f","g"'), on_error=on_error)

    assert job.counts == {"unchanged": 18, "error": 1, "kept_uncertain": 2, "kept_other_source": 1}
    assert (job.state, open_statuses()) == (
        State.DONE_WITH_ERRORS if on_error == "skip" else State.FAILED,
        dict.fromkeys(NUMBERS, "enrolled"),
    )


@pytest.mark.parametrize("cells", ["asleep,", ",A", "completed," + "A" * 40])
def test_a_row_with_an_invalid_cell_still_lists_its_student_and_course(course, cells):
    job = full(listing([*NUMBERS[:18], "X1"], f"F19,M-1,{cells}"))

    assert job.counts == {"unchanged": 18, "error": 1, "enrolled": 1, "dropped": 1}
    assert open_statuses() == dict.fromkeys([*NUMBERS[:19], "X1"], "enrolled")


def test_a_faulty_row_keeps_only_enrollments_that_it_may_refer_to(course):
    other = make_course(code="M-2", term=course.term)
    imported(HEADER + "F01,M-2,,\nF02,M-2,,\nX1,M-2,,\n")

    job = full(listing(NUMBERS[:19], "F20,M-9,,", "F99,M-2,,", "F01,M-2,,"))

    kept = [number for number, outcome, _codes in outcomes(job) if outcome == "kept_uncertain"]
    assert (len(kept), codes(job)) == (3, ["kept_uncertain"])  # F20 in M-1; F02 and X1 in M-2
    assert open_statuses(other.code) == {"F01": "enrolled", "F02": "enrolled", "X1": "enrolled"}
    job = full(listing(NUMBERS[:19], "F20,M-9,,", "F01,M-2,,"))
    assert (job.counts["dropped"], open_statuses(other.code)) == (2, {"F01": "enrolled"})


def test_the_report_names_the_faulty_row_that_keeps_an_enrollment(course):
    job = full(listing(NUMBERS[:19], "F2O,M-1,,"))

    [kept] = stored_results(job, outcome="kept_uncertain")
    assert (kept.number, kept.note, kept.raw) == (
        0,
        "Row 21 has an error and may refer to this enrollment.",
        ["F20", "M-1", "", ""],
    )


def test_a_faulty_row_of_an_applied_chunk_keeps_enrollments_after_a_restart(course, small_chunks, monkeypatch):
    text = HEADER + "F2O,M-1,,\n" + "".join(f"{number},M-1,,\n" for number in NUMBERS[:19])
    with killed_at(monkeypatch, call=3):
        full(text)
    make_student(student_number="F2O")

    job = resume()

    assert (job.counts, open_statuses()["F20"]) == ({"error": 1, "unchanged": 19, "kept_uncertain": 1}, "enrolled")


class killed_at:  # noqa: N801  # a context manager
    """Kill the process at the ``call``-th chunk after the preview, if it is reached."""

    def __init__(self, monkeypatch, *, call):
        self.monkeypatch, self.call, self.is_killed = monkeypatch, call, False

    def __enter__(self):
        self.real, calls = EnrollmentImporter.apply, []

        def apply(importer, rows):
            if Import.objects.get(pk=importer.job.pk).state == State.APPLYING:
                calls.append(1)
            if len(calls) == self.call:
                self.is_killed = True
                raise Killed
            return self.real(importer, rows)

        self.monkeypatch.setattr(EnrollmentImporter, "apply", apply)
        return self

    def __exit__(self, kind, error, traceback):
        self.monkeypatch.setattr(EnrollmentImporter, "apply", self.real)
        return kind is Killed


def resume():
    """Let a worker resume the newest import, after its lease has expired."""
    job = Import.objects.latest("pk")
    if job.is_active:
        expire_lease(job)
        work()
    return Import.objects.get(pk=job.pk)


# Sources


@pytest.fixture
def sources(course):
    """F19 was enrolled by hand, F20 by an API client, and X1 by the file of another dataset."""
    registrar = get_user_model().objects.create_user("reg", is_staff=True)
    for number, actor in (("F19", ActorContext(Channel.ADMIN, actor_id=registrar.pk)), ("F20", API)):
        student = Student.objects.get(student_number=number)
        drop(student_id=student.pk, course_id=course.pk, actor=actor)
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    Course.objects.filter(pk=course.pk).update(capacity=30)
    imported(listing(["X1"]), dataset="evening school")


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_full_file_drops_only_enrollments_made_by_its_dataset(sources, on_error):
    job = full(listing(NUMBERS[:17]), on_error=on_error)

    assert job.counts == {"unchanged": 17, "dropped": 1, "kept_manual": 1, "kept_other_source": 2}
    assert (job.state, job.in_scope, job.ending) == (State.DONE, 18, 1)
    assert open_statuses() == dict.fromkeys([*NUMBERS[:17], "F19", "F20", "X1"], "enrolled")


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_take_over_drops_enrollments_of_other_sources_and_counts_them_for_approval(sources, on_error):
    wish = {"options": {"take_over": "true"}, "on_error": on_error}
    job = full(listing(NUMBERS[:17]), **wish)
    assert (job.state, job.in_scope, job.ending, len(open_statuses())) == (State.NEEDS_REVIEW, 21, 4, 21)

    job = worked_on(approve(job.pk))

    assert (job.state, job.counts) == (State.DONE, {"unchanged": 17, "dropped": 4})
    assert open_statuses() == dict.fromkeys(NUMBERS[:17], "enrolled")


TAKE_OVER = {"options": {"take_over": "true"}}
OTHERS = {"F19": "kept_manual", "F20": "kept_other_source", "X1": "kept_other_source"}
ALL_NUMBERS = [*NUMBERS, "X1"]


def adoptions(job):
    """Return student and changes of each journal entry in which an import adopts an enrollment."""
    events = EnrollmentEvent.objects.filter(file_import=job, action=Action.ADOPT).order_by("pk")
    return list(events.values_list("enrollment__student__student_number", "from_status", "to_status", "changes"))


def kept_outcomes():
    """Return by student number the enrollments that a full file of the dataset without rows would keep."""
    job = full(HEADER, review="dry_run")
    return {each.raw[0]: each.outcome for each in stored_results(job) if each.raw and each.outcome != "dropped"}


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_take_over_adopts_listed_enrollments_and_the_next_full_file_drops_them(sources, small_chunks, on_error):
    before = dict(StudentCourse.objects.values_list("pk", "version"))
    assert kept_outcomes() == OTHERS

    job = full(listing(ALL_NUMBERS), on_error=on_error, **TAKE_OVER)

    assert (job.state, job.counts) == (State.DONE, {"unchanged": 18, "adopted": 3})
    assert adoptions(job) == [(number, "enrolled", "enrolled", {}) for number in OTHERS]
    assert dict(StudentCourse.objects.values_list("pk", "version")) == before
    assert kept_outcomes() == {}
    again = full(listing(ALL_NUMBERS), on_error=on_error, **TAKE_OVER)
    assert (again.counts, adoptions(again)) == ({"unchanged": 21}, [])
    job = full(listing(NUMBERS[:19]), on_error=on_error)
    assert (job.counts, open_statuses()) == ({"unchanged": 19, "dropped": 2}, dict.fromkeys(NUMBERS[:19], "enrolled"))


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_dry_run_reports_adoptions_and_adopts_nothing(sources, on_error):
    job = full(listing(ALL_NUMBERS), on_error=on_error, review="dry_run", **TAKE_OVER)

    assert (job.state, job.counts) == (State.CANCELLED, {"unchanged": 18, "adopted": 3})
    assert [told.number for told in stored_results(job, outcome="adopted")] == [20, 21, 22]
    assert (adoptions(job), kept_outcomes()) == ([], OTHERS)


def test_a_listed_waitlisted_student_is_adopted_but_not_one_listed_as_ended(sources, course):
    Course.objects.filter(pk=course.pk).update(capacity=21)
    by_api("X2", course, on_full=OnFull.WAITLIST)
    drop(student_id=Student.objects.get(student_number="F20").pk, course_id=course.pk, actor=API)
    assert open_statuses()["X2"] == "enrolled"
    by_api("F20", course, on_full=OnFull.WAITLIST)

    job = full(listing([*NUMBERS[:19], "X2", "F20"], "X1,M-1,dropped,"), **TAKE_OVER)

    assert job.counts == {"unchanged": 18, "adopted": 3, "dropped": 1}
    assert [event[0] for event in adoptions(job)] == ["F19", "X2", "F20"]
    assert full(listing([*NUMBERS[:19], "X2", "F20"], "X1,M-1,dropped,"), **TAKE_OVER).counts == {"unchanged": 22}


def test_a_row_with_an_error_adopts_nothing_and_a_repeated_row_adopts_once(sources):
    rows = [f"{number},M-1,," for number in (*NUMBERS[:18], "F19", "F19")]

    job = full(HEADER + "\n".join([*rows, "F20,M-1,asleep,", "X1,M-1,,A"]) + "\n", **TAKE_OVER)

    assert job.counts == {"unchanged": 19, "adopted": 1, "error": 2}
    assert kept_outcomes() == {"F20": "kept_other_source", "X1": "kept_other_source"}


@pytest.mark.parametrize("call", [1, 2, 10, 11])
@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_take_over_whose_process_was_killed_adopts_once(sources, small_chunks, monkeypatch, on_error, call):
    with killed_at(monkeypatch, call=call) as killed:
        full(listing(["F19", "F20", "X1", *NUMBERS[:18]]), on_error=on_error, **TAKE_OVER)

    job = resume()

    assert (killed.is_killed, job.state, job.counts) == (True, State.DONE, {"unchanged": 18, "adopted": 3})
    assert [number for number, *_ in adoptions(job)] == ["F19", "F20", "X1"]
    assert kept_outcomes() == {}


def test_undoing_an_import_reverts_its_adoptions(sources):
    job = full(listing(ALL_NUMBERS), **TAKE_OVER)

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    job.refresh_from_db()
    assert (job.state, undo.counts) == (State.UNDONE, {"reversed": 3})
    assert open_statuses() == dict.fromkeys(ALL_NUMBERS, "enrolled")
    assert kept_outcomes() == OTHERS
    assert full(listing(ALL_NUMBERS), **TAKE_OVER).counts == {"unchanged": 18, "adopted": 3}
    assert kept_outcomes() == {}


def test_undoing_an_import_keeps_an_enrollment_changed_after_its_adoption(sources, course):
    job = full(listing(ALL_NUMBERS), **TAKE_OVER)
    drop(student_id=Student.objects.get(student_number="F20").pk, course_id=course.pk, actor=API)

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    job.refresh_from_db()
    assert (job.state, undo.counts) == (State.PARTLY_UNDONE, {"reversed": 2, "kept": 1})
    assert kept_outcomes() == {"F19": "kept_manual", "X1": "kept_other_source"}


@pytest.mark.parametrize("is_undone_first", [True, False])
def test_a_manual_undo_reverts_the_change_before_an_adoption(sources, course, is_undone_first):
    job = full(listing(ALL_NUMBERS), **TAKE_OVER)
    if is_undone_first:
        worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    undo(student_id=Student.objects.get(student_number="F20").pk, course_id=course.pk, actor=API)

    assert open_statuses() == dict.fromkeys([*NUMBERS[:19], "X1"], "enrolled")
    with pytest.raises(Refused):
        undo(student_id=Student.objects.get(student_number="F20").pk, course_id=course.pk, actor=API)


@pytest.mark.parametrize(("is_undone_first", "outcome"), [(True, "reversed"), (False, "kept")])
def test_undoing_the_creating_import_keeps_enrollments_adopted_by_another_dataset(sources, is_undone_first, outcome):
    made = Import.objects.get(dataset="evening school")
    job = full(listing(ALL_NUMBERS), **TAKE_OVER)
    if is_undone_first:
        worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    undo = worked_on(start_undo(made.pk, channel=ImportChannel.API, request_id="v"))

    assert (undo.counts, "X1" in open_statuses()) == ({outcome: 1}, outcome == "kept")


def test_adoptions_are_shown_in_the_change_feed_and_in_the_admin(sources, api, registrar_client):
    cursor = api.get("/api/v1/changes?after=latest").json()["cursor"]
    job = full(listing(ALL_NUMBERS), **TAKE_OVER)

    changes = api.get(f"/api/v1/changes?after={cursor}").json()["results"]
    told = [(each["student"]["student_number"], each["action"], each["to_status"], each["changes"]) for each in changes]
    assert told == [(number, "adopt", "enrolled", {}) for number in OTHERS]
    assert all(replay(row.events.order_by("pk")) == replayable_snapshot(row) for row in StudentCourse.objects.all())
    pages = [
        "/admin/students/enrollmentevent/?action__exact=adopt",
        f"/admin/students/student/{Student.objects.get(student_number='F20').pk}/change/?tab=timeline",
        f"/admin/bulk/import/{job.pk}/change/",
    ]
    for language, word in {"en": "adopted", "de": "übernommen", "es": "asumido"}.items():
        for page in pages:
            answer = registrar_client.get(page, headers={"Accept-Language": language})
            assert (page, answer.status_code, word in answer.content.decode()) == (page, 200, True)


def test_a_take_over_keeps_enrollments_that_a_faulty_row_may_refer_to(sources):
    job = full(listing(NUMBERS[:17], "X9,M-1,,"), options={"take_over": "true"})

    assert job.counts == {"unchanged": 17, "error": 1, "kept_uncertain": 4}


def test_a_listed_row_without_changes_leaves_the_source_of_the_enrollment(sources):
    full(listing([*NUMBERS, "X1"]))

    job = full(listing(NUMBERS[:18]))

    assert job.counts == {"unchanged": 18, "kept_manual": 1, "kept_other_source": 2}


def test_only_a_full_file_can_take_over(course):
    with pytest.raises(Refused) as refused:
        imported(listing(NUMBERS), options={"take_over": "true"})

    assert [(each.code, each.field) for each in refused.value.refusals] == [("invalid", "take_over")]


def test_the_command_has_the_take_over_option(sources, tmp_path, capsys):
    file = tmp_path / "full.csv"
    file.write_text(listing(NUMBERS[:17]))

    with pytest.raises(SystemExit) as error:
        call_command("import_enrollments", str(file), "--mode=full", "--scope=term:2026F", "--take-over")

    assert (error.value.code, len(open_statuses())) == (3, 21)
    assert "4 of the 21 enrollments in the scope would end, which is more than 10 %." in capsys.readouterr().err


@pytest.mark.parametrize(("take_over", "state", "ending"), [("true", State.NEEDS_REVIEW, 21), ("false", State.DONE, 0)])
def test_the_api_takes_over_enrollments_made_by_commands(sources, api, take_over, state, ending):
    address = "/api/v1/imports?kind=enrollments&mode=full&scope=term:2026F&review=needed&take_over="

    answer = api.post(address + take_over, HEADER, content_type="text/csv")
    work()

    job = Import.objects.get(pk=answer.json()["id"])
    assert answer.json()["options"] == {"take_over": take_over}
    assert (answer.status_code, job.state, job.ending) == (202, state, ending)
    assert (
        api.post("/api/v1/imports?kind=enrollments&take_over=yes", HEADER, content_type="text/csv").status_code == 400
    )


@pytest.mark.parametrize(("ticked", "ending"), [({"take_over": "on"}, 21), ({}, 18)])
def test_the_admin_takes_over_if_the_box_is_checked(sources, registrar_client, ticked, ending):
    form = {"kind": "enrollments", "on_error": "abort", "mode": "full", "dataset": "default", "scope": "term:2026F"}
    file = SimpleUploadedFile("full.csv", HEADER.encode(), "text/csv")

    registrar_client.post("/admin/bulk/import/add/", {**form, "file": file, **ticked})
    work()

    job = Import.objects.latest("pk")
    assert (job.state, job.ending, job.mode) == (State.NEEDS_REVIEW, ending, "full")


def test_an_approval_is_valid_after_other_clients_enroll_in_the_scope(course):
    job = full(listing(NUMBERS[:17]))
    Course.objects.filter(pk=course.pk).update(capacity=30)
    by_api("X1", course)

    job = worked_on(approve(job.pk))

    assert job.counts == {"unchanged": 17, "dropped": 3, "kept_other_source": 1}


def test_an_approval_drops_only_the_students_of_the_preview(course, sources):
    job = full(listing(NUMBERS[:15]))
    assert (job.state, job.ending) == (State.NEEDS_REVIEW, 3)
    registrar = get_user_model().objects.get(username="reg")
    student = Student.objects.get(student_number="F18")
    actor = ActorContext(Channel.ADMIN, actor_id=registrar.pk)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    own = ActorContext(Channel.IMPORT, import_id=Import.objects.order_by("pk")[0].pk)
    student = Student.objects.get(student_number="X2")
    enroll(student_id=student.pk, course_id=course.pk, actor=own)  # as many enrollments would be dropped as before

    job = worked_on(approve(job.pk))

    assert (job.state, codes(job), job.ending) == (State.NEEDS_REVIEW, ["changed_since_preview"], 3)


# The state that the file describes


@pytest.mark.parametrize("on_error", ["skip", "abort"])
@pytest.mark.parametrize("first", [True, False])
def test_a_full_file_exchanges_students_in_a_full_course(course, on_error, first, small_chunks):
    rows = [number for number in NUMBERS if number != "F05"]

    job = full(listing(["X1", *rows] if first else [*rows, "X1"]), on_error=on_error)

    assert (job.state, job.counts) == (State.DONE, {"unchanged": 19, "enrolled": 1, "dropped": 1})
    assert open_statuses() == dict.fromkeys([*rows, "X1"], "enrolled")
    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))
    assert (undo.counts, open_statuses()) == ({"reversed": 2}, dict.fromkeys(NUMBERS, "enrolled"))


@pytest.mark.parametrize("on_error", ["skip", "abort"])
@pytest.mark.parametrize("status", ["dropped", "completed"])
def test_a_full_file_row_that_ends_an_enrollment_frees_a_seat_for_an_earlier_row(
    course, on_error, status, small_chunks
):
    rows = [number for number in NUMBERS if number != "F05"]

    job = full(listing(["X1", *rows], f"F05,M-1,{status},"), on_error=on_error)

    assert (job.state, job.counts) == (State.DONE, {"unchanged": 19, "enrolled": 1, status: 1})
    assert outcomes(job)[-1] == (22, status, [])
    assert open_statuses() == dict.fromkeys([*rows, "X1"], "enrolled")
    assert full(listing(["X1", *rows], f"F05,M-1,{status},")).counts == {"unchanged": 21}


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_rows_of_a_full_file_precede_the_waitlist_and_it_gets_the_remaining_seats(course, on_error, small_chunks):
    by_api("X1", course, on_full=OnFull.WAITLIST)
    make_student(student_number="X3")
    by_api("X3", course, on_full=OnFull.WAITLIST)

    job = full(listing([*NUMBERS[:18], "X2"]), on_error=on_error)

    assert job.counts == {"unchanged": 18, "enrolled": 1, "dropped": 2, "kept_other_source": 2}
    assert open_statuses() == {**dict.fromkeys([*NUMBERS[:18], "X1", "X2"], "enrolled"), "X3": "waitlisted"}


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_listed_waitlisted_student_precedes_new_and_unlisted_students(course, on_error):
    by_api("X1", course, on_full=OnFull.WAITLIST)
    by_api("X2", course, on_full=OnFull.WAITLIST)
    make_student(student_number="X3")

    job = full(listing(["X3", *NUMBERS[:19], "X2"]), on_error="skip")

    assert [found for found in outcomes(job) if found[2]] == [(2, "error", ["course_full"])]
    assert open_statuses() == {**dict.fromkeys([*NUMBERS[:19], "X2"], "enrolled"), "X1": "waitlisted"}


@pytest.mark.parametrize("on_error", ["skip", "abort"])
def test_a_dry_run_of_a_full_file_does_not_change_the_waitlist(course, on_error):
    by_api("X1", course, on_full=OnFull.WAITLIST)
    before = EnrollmentEvent.objects.count()

    job = full(listing(NUMBERS[:19]), on_error=on_error, review="dry_run")

    assert (job.state, job.rows, job.counts["dropped"]) == (State.CANCELLED, 19, 1)
    assert (EnrollmentEvent.objects.count(), open_statuses()["X1"]) == (before, "waitlisted")


@pytest.mark.parametrize("is_left_behind", [True, False])
def test_freed_seats_of_a_cancelled_full_import_go_to_the_waitlist(course, small_chunks, monkeypatch, is_left_behind):
    by_api("X1", course, on_full=OnFull.WAITLIST)
    with killed_at(monkeypatch, call=2):
        full(listing(NUMBERS[:19]))
    job = Import.objects.latest("pk")
    assert (job.state, job.checkpoint, job.unlisted, open_statuses()["X1"]) == (State.APPLYING, 4, 2, "waitlisted")

    if is_left_behind:
        expire_lease(job)
        job = cancel(job.pk)
    else:
        job.progress.wants_cancel = True
        job.progress.save()
        job = resume()

    assert (job.state, open_statuses()) == (State.CANCELLED, dict.fromkeys([*NUMBERS[:19], "X1"], "enrolled"))


@pytest.mark.parametrize("call", [1, 2, 11])
def test_a_killed_full_import_drops_each_student_once_and_counts_its_rows(course, small_chunks, monkeypatch, call):
    with killed_at(monkeypatch, call=call) as killed:
        full(listing(NUMBERS[:18], "X1,M-1,,", "F19,M-1,dropped,", "F99,M-9,dropped,", "F01,M-1,,"))

    job = resume()

    assert killed.is_killed
    assert job.counts == {"unchanged": 19, "enrolled": 1, "dropped": 1, "error": 1, "kept_uncertain": 1}
    assert (job.rows, job.checkpoint, job.progress.rows) == (22, 23, 22)
    assert [number for number, *_ in outcomes(job)] == [0, *range(2, 24)]
    assert open_statuses() == dict.fromkeys([*NUMBERS[:18], "F20", "X1"], "enrolled")


def test_a_full_file_without_rows_drops_everyone_after_approval_and_can_be_undone(course):
    job = worked_on(approve(full(HEADER).pk))
    assert (job.state, job.rows, job.counts, open_statuses()) == (State.DONE, 0, {"dropped": 20}, {})

    worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    assert open_statuses() == dict.fromkeys(NUMBERS, "enrolled")


# Codes that move between two transactions


def move_code_after_first_chunk(monkeypatch, course):
    """Give the code of a course to a new one in its term after the first chunk of an import."""
    real = import_run.ImportRun._apply_chunk

    def apply_chunk(run, part, rows):
        real(run, part, rows)
        if rows[0].number == 2:
            Course.objects.filter(pk=course.pk).update(code="M-0")
            make_course(code="M-1", term=course.term)

    monkeypatch.setattr(import_run.ImportRun, "_apply_chunk", apply_chunk)


def test_a_code_moved_to_another_course_refers_to_it_from_the_next_chunk(term, small_chunks, monkeypatch):
    old = make_course(code="M-1", term=term)
    for number in NUMBERS[:4]:
        make_student(student_number=number)
    move_code_after_first_chunk(monkeypatch, old)

    imported(listing(NUMBERS[:4]), on_error="skip")

    assert (open_statuses("M-0"), open_statuses("M-1")) == (
        dict.fromkeys(NUMBERS[:2], "enrolled"),
        dict.fromkeys(NUMBERS[2:4], "enrolled"),
    )


def test_a_scope_whose_code_moves_to_another_course_accepts_the_following_chunks(term, small_chunks, monkeypatch):
    old = make_course(code="M-1", term=term)
    for number in NUMBERS[:4]:
        make_student(student_number=number)
    move_code_after_first_chunk(monkeypatch, old)

    job = full(listing(NUMBERS[:4]), scope="course:M-1@2026F")

    assert (job.counts, open_statuses("M-1")) == ({"enrolled": 4}, dict.fromkeys(NUMBERS[2:4], "enrolled"))


# Dry runs


@pytest.mark.parametrize("on_error", ["skip", "abort"])
@pytest.mark.parametrize(
    ("numbers", "more"),
    [
        (NUMBERS, []),
        (NUMBERS[:19], []),
        (NUMBERS[:17], []),
        (NUMBERS[:19], ["X9,M-1,,"]),
        (NUMBERS[:16], ["F20,M-1,asleep,"]),
        ([], ["X9,M-1,,"]),
        ([], []),
    ],
)
def test_a_dry_run_has_the_exit_code_of_the_real_run(course, tmp_path, capsys, on_error, numbers, more):
    file = tmp_path / "full.csv"
    file.write_text(listing(numbers, *more))

    def run(*options):
        code: Any = 0
        said = ""
        try:
            call_command("import_enrollments", str(file), "--mode=full", "--scope=term:2026F", *options)
        except SystemExit as error:
            code = error.code
        except CommandError as error:
            code, said = 1, str(error)
        said += capsys.readouterr().out
        assert code == 3 or f" of {len(numbers) + len(more)} rows " in said
        return code

    before = EnrollmentEvent.objects.count()
    told = run(f"--on-error={on_error}", "--again", "--dry-run")
    assert EnrollmentEvent.objects.count() == before
    assert told == run(f"--on-error={on_error}", "--again")


@pytest.mark.parametrize(
    ("changed", "code"), [([], 0), (["F19"], 2), (NUMBERS, 2)], ids=["nothing", "one", "everything"]
)
def test_a_dry_run_of_an_undo_has_the_exit_code_and_the_rows_of_the_real_run(course, capsys, changed, code):
    for number in changed:
        student = Student.objects.get(student_number=number)
        drop(student_id=student.pk, course_id=course.pk, actor=API)
        enroll(student_id=student.pk, course_id=course.pk, actor=API)
    job = Import.objects.latest("pk")

    def run(*options):
        try:
            call_command("undo_import", str(job.pk), *options)
        except SystemExit as error:
            return error.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    told, done = run("--dry-run"), run()

    counted = f"{20 - len(changed)} of 20 rows"
    assert (told[0], f"{counted} would be undone." in told[1]) == (code, True)
    assert (done[0], f"{counted} were undone." in done[1]) == (code, True)


def test_a_dry_run_reports_that_the_import_would_wait_for_approval(course):
    job = full(listing(NUMBERS[:17]), review="dry_run")

    assert (job.state, without_parts(job.problems)) == (
        State.CANCELLED,
        [
            {
                "code": "approval_needed",
                "field": None,
                "message": "3 of the 20 enrollments in the scope would end. The import would need approval.",
            }
        ],
    )


# Against a model


@dataclass
class World:
    """The expected state of two courses: M-1 has three seats, M-2 has no limit."""

    open: dict[tuple[str, str], str] = field(default_factory=dict)  # source by student and course
    line: list[str] = field(default_factory=list)  # waitlist of M-1, in order

    def after(self, rows):
        """Return the expected open enrollments and the waitlist. A line of separators is no row."""
        rows = [row for row in rows if any(row)]
        first: dict[tuple[str, str], str] = {}
        for number, code, status in rows:
            if number in STUDENTS and code in ("M-1", "M-2"):
                first.setdefault((number, code), status)
        kept = {pair for pair, source in self.open.items() if self._stays(pair, source, first, rows)}
        waiting = [number for number in self.line if (number, "M-1") in kept]
        seated = {pair for pair in kept if pair[1] == "M-1" and pair[0] not in waiting}
        seated_before = {pair for pair in self.open if pair[1] == "M-1" and pair[0] not in self.line}
        listed_first = [number for number in waiting if (number, "M-1") in first]
        wanted = [pair for pair, status in first.items() if pair[1] == "M-1" and status == ""]
        newcomers = [pair[0] for pair in wanted if pair not in kept]
        others = [number for number in waiting if number not in listed_first]
        free = SEATS - len(seated)
        is_freed = seated_before != seated  # without a freed seat new students come after waitlisted ones
        order = [*listed_first, *newcomers, *others] if is_freed else [*waiting, *newcomers]
        in_seats = {number for number, _code in seated} | set(order[: max(free, 0)])
        rest = {pair[0] for pair in first if pair[1] == "M-2" and first[pair] == ""}
        rest |= {number for number, code in kept if code == "M-2"}
        return in_seats, [number for number in waiting if number not in in_seats], rest

    def _stays(self, pair, source, first, rows):
        if pair in first:
            return first[pair] != "dropped"
        return source != "own" or any(may_refer_to(row, pair) for row in rows)


def may_refer_to(row, pair):
    """Return True if a row without a valid student or course may refer to this enrollment."""
    number, code, _status = row
    if code is None:
        return True
    has_student, has_course = number in STUDENTS, code in ("M-1", "M-2")
    if has_student and has_course:
        return False
    return (not has_student or number == pair[0]) and (not has_course or code == pair[1])


STUDENTS = ["S-1", "S-2", "S-3", "S-4", "S-5", "S-6"]
SEATS = 3
PAIRS = [(number, code) for number in STUDENTS for code in ("M-1", "M-2")]
files = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(STUDENTS), st.sampled_from(["M-1", "M-2"]), st.sampled_from(["", "", "dropped"])),
        st.tuples(st.sampled_from(STUDENTS), st.sampled_from(["M-1", "M-2"]), st.sampled_from(["", "", "dropped"])),
        st.tuples(st.sampled_from(STUDENTS), st.sampled_from(["M-1", "M-2"]), st.just("asleep")),
        st.tuples(
            st.sampled_from([*STUDENTS, "S-9", ""]),
            st.sampled_from(["M-1", "M-2", "M-9", "", "OUT"]),
            st.sampled_from(["", "dropped"]),
        ),
        st.just(("S-1", None, "")),  # a row with too many cells
    ),
    max_size=9,
)
befores = st.lists(
    st.tuples(st.sampled_from(PAIRS), st.sampled_from(["own", "own", "other", "api", "manual"])),
    max_size=10,
    unique_by=lambda each: each[0],
)


@pytest.fixture
def offered(term):
    make_course(code="M-1", term=term, capacity=SEATS, waitlist_capacity=10)
    make_course(code="M-2", term=term)
    make_course(code="OUT", term=make_term(code="2027S"))
    for number in STUDENTS:
        make_student(student_number=number)
    get_user_model().objects.create_user("reg", is_staff=True)


def enrolled_before(before):
    """Enroll students through each source."""
    world = World()
    registrar = get_user_model().objects.get(username="reg")
    for (number, code), source in before:
        taken = [pair for pair in world.open if pair[1] == "M-1"]
        if code == "M-1" and len(taken) >= SEATS:
            world.line.append(number)
        world.open[number, code] = source
        if source in ("own", "other"):
            dataset = "default" if source == "own" else "other"
            assert imported(HEADER + f"{number},{code},waitlisted,\n", dataset=dataset).state == State.DONE
        else:
            student, course = Student.objects.get(student_number=number), Course.objects.get(code=code)
            actor = API if source == "api" else ActorContext(Channel.ADMIN, actor_id=registrar.pk)
            enroll(student_id=student.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    return world


def row_text(row):
    number, code, status = row
    return f"{number},M-1,,,,,,too many\n" if code is None else f"{number},{code},{status},\n"


def approved(job):
    return worked_on(approve(job.pk)) if job.state == State.NEEDS_REVIEW else job


def found_open():
    seats = open_statuses("M-1")
    line = StudentCourse.objects.in_waitlist_order().filter(course__code="M-1")
    return (
        {number for number, status in seats.items() if status == "enrolled"},
        list(line.values_list("student__student_number", flat=True)),
        set(open_statuses("M-2")),
    )


@given(before=befores, rows=files, call=st.integers(0, 6))
@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_full_file_reaches_the_state_of_the_model_and_a_repetition_changes_nothing(
    offered, small_chunks, monkeypatch, before, rows, call
):
    with transaction.atomic():
        world = enrolled_before(before)
        text = HEADER + "".join(map(row_text, rows))
        with killed_at(monkeypatch, call=call):
            approved(full(text))
        job = approved(resume())
        if job.state != State.FAILED:
            assert found_open() == world.after(rows)
            events = EnrollmentEvent.objects.count()
            again = full(text)
            assert (again.state in (State.DONE, State.DONE_WITH_ERRORS, State.FAILED), found_open()) == (
                True,
                world.after(rows),
            )
            assert EnrollmentEvent.objects.count() == events
        else:
            assert set(job.counts) <= {"error", "kept_uncertain", "kept_other_source", "kept_manual"}
        transaction.set_rollback(True)
