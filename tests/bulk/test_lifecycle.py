"""How imports end: repeated, interrupted, failed or cancelled late; and which imports they block."""

import io
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from bulk.commands.processing_command import process_here
from bulk.importers import base, import_parts
from bulk.jobs import processing
from bulk.jobs.import_actions import approve, start_undo
from bulk.jobs.leases import MAX_ATTEMPTS, claim, reserve, waiting_import_ids
from bulk.jobs.submission import AlreadyApplied, ImportRequest, submit
from bulk.models import Import, ImportChannel, Progress, State
from bulk.row_result_store import ResultWriter
from school.refusals import Refused
from students.imports import EnrollmentImporter, StudentImporter
from students.models import Student, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported, outcomes, without_parts, work, worked_on

pytestmark = pytest.mark.django_db

STUDENTS = "student_number,given_name,family_name\n"
ROWS = "".join(f"S-{n},Ada,Byron\n" for n in range(1, 7))


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of two rows, so that a few rows make several chunks."""
    monkeypatch.setattr(import_parts, "CHUNK_SIZE", 2)
    monkeypatch.setattr(base, "CHUNK_SIZE", 2)


@pytest.fixture
def file(tmp_path):
    """A file of six students."""
    path = tmp_path / "students.csv"
    path.write_text(STUDENTS + ROWS)
    return str(path)


def in_chunk(monkeypatch, number, happen, importer=StudentImporter):
    """Call a function after the rows of this chunk are applied, before its transaction is committed."""
    real, seen = importer.apply, []

    def apply(self, rows):
        results = real(self, rows)
        seen.append(1)
        if len(seen) == number:
            happen()
        return results

    monkeypatch.setattr(importer, "apply", apply)


def raising(error):
    def happen():
        raise error

    return happen


def undo(job):
    return worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))


# The same file again


def test_a_file_with_failed_rows_can_be_imported_again_until_no_row_fails():
    make_course(code="M-1")
    text = ENROLLMENTS + "S-1,M-1,,,,\n"
    make_student(student_number="S-2")
    both = text + "S-2,M-1,,,,\n"
    assert imported(both, on_error="skip").state == State.DONE_WITH_ERRORS
    assert imported(text, on_error="skip").state == State.FAILED
    assert imported(text, on_error="skip").state == State.FAILED

    make_student(student_number="S-1")

    assert imported(both, on_error="skip").counts == {"enrolled": 1, "unchanged": 1}
    with pytest.raises(AlreadyApplied):
        imported(both, on_error="skip")


def test_a_file_is_applied_again_after_another_file_or_an_undo_changed_the_dataset():
    first, second = STUDENTS + "S-1,Ada,Byron\n", STUDENTS + "S-1,Ada,Lovelace\n"
    imported(first, kind="students")
    changed = imported(second, kind="students")
    assert imported(first, kind="students").counts == {"updated": 1}
    changed = imported(second, kind="students")
    undo(changed)
    assert Student.objects.get().family_name == "Byron"

    assert imported(second, kind="students").counts == {"updated": 1}


def test_imports_that_applied_nothing_do_not_make_a_repeated_file_necessary():
    text = STUDENTS + "S-1,Ada,Byron\n"
    first = imported(text, kind="students")
    imported(STUDENTS + "S-2,Ada,Byron\n", kind="students", review="dry_run")
    imported(STUDENTS + "S-2,,\n", kind="students")

    with pytest.raises(AlreadyApplied) as same:
        imported(text, kind="students")

    assert same.value.earlier == first


def test_a_file_cancelled_between_its_chunks_is_applied_again(small_chunks, monkeypatch):
    in_chunk(monkeypatch, 1, lambda: Progress.objects.update(wants_cancel=True))
    job = imported(STUDENTS + ROWS, kind="students", on_error="skip")
    assert (job.state, job.applied_rows) == (State.CANCELLED, 2)

    assert imported(STUDENTS + ROWS, kind="students", on_error="skip").counts == {"created": 4, "unchanged": 2}


def test_the_command_exits_with_2_if_rows_fail_and_with_0_for_a_repeated_file(tmp_path, capsys):
    path = tmp_path / "students.csv"
    path.write_text(STUDENTS + "S-1,Ada,Byron\nS-2,,\n")
    for _night in range(2):
        with pytest.raises(SystemExit) as ended:
            call_command("import_students", str(path), on_error="skip")
        assert ended.value.code == 2
    path.write_text(STUDENTS + "S-1,Ada,Byron\nS-2,Alan,Turing\n")
    call_command("import_students", str(path), on_error="skip")
    capsys.readouterr()

    call_command("import_students", str(path), on_error="skip")

    last = Import.objects.all()[0]
    assert capsys.readouterr().out == (
        f"This file was already applied by import {last.pk}. Use --again to apply it again.\n"
    )


# Commands that end in the middle


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"given_name,family_name\nAda,Byron\n", "missing_column"),
        (b"student_number,student_number,given_name,family_name\nS-1,S-1,Ada,Byron\n", "duplicate_column"),
        (b"student_number\xff\n", "not_utf8"),
        (b"student_number,given_name,family_name\nS-1,\0,Byron\n", "not_text"),
    ],
)
@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_an_import_of_an_unreadable_file_fails_and_releases_its_dataset(tmp_path, file, content, code, on_error):
    broken = tmp_path / "broken.csv"
    broken.write_bytes(content)
    outputs = {"report": str(tmp_path / "report.csv"), "failed": str(tmp_path / "failed.csv")}

    with pytest.raises(CommandError, match=r"Nothing was applied\.$"):
        call_command("import_students", str(broken), on_error=on_error, **outputs)

    job = Import.objects.get()
    assert (job.state, [problem["code"] for problem in job.problems]) == (State.FAILED, [code])
    call_command("import_students", file)
    assert Student.objects.count() == 6


def test_an_import_of_an_invalid_zip_fails_and_releases_its_dataset(file):
    with pytest.raises(CommandError, match="The zip cannot be read"):
        call_command("import_zip", file)

    job = Import.objects.get()
    assert (job.state, [problem["code"] for problem in job.problems]) == (State.FAILED, ["not_a_zip"])
    call_command("import_students", file)
    assert Student.objects.count() == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("on_error", "chunk", "applied"), [("abort", 2, 0), ("skip", 1, 0), ("skip", 2, 2)])
def test_a_signal_cancels_an_import_and_the_printed_advice_is_correct(
    file, small_chunks, monkeypatch, number, on_error, chunk, applied
):
    handler = signal.getsignal(number)
    in_chunk(monkeypatch, chunk, lambda: os.kill(os.getpid(), number))

    with pytest.raises(CommandError) as ended:
        call_command("import_students", file, on_error=on_error)

    job = Import.objects.get()
    advice = f"{applied} rows were applied. To undo them, run manage.py undo_import {job.pk}."
    assert str(ended.value) == f"Interrupted. {advice if applied else 'Nothing was applied.'}"
    assert (job.state, Student.objects.count()) == (State.CANCELLED, applied)
    assert signal.getsignal(number) == handler
    if applied:
        call_command("undo_import", str(job.pk))
    assert Student.objects.count() == 0
    call_command("import_students", file, on_error=on_error)
    assert Student.objects.count() == 6


@pytest.mark.parametrize(
    "place",
    [
        "bulk.commands.import_command.process_here",
        "bulk.commands.import_command.write_id",
        "bulk.jobs.processing.local_copy",
    ],
)
def test_a_signal_before_the_first_row_cancels_the_import(file, monkeypatch, place):
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(place, interrupted)

    with pytest.raises(CommandError, match=r"^Interrupted\. Nothing was applied\.$"):
        call_command("import_students", file)

    assert Import.objects.get().state == State.CANCELLED


def test_a_signal_while_the_file_is_received_leaves_no_import(file, monkeypatch):
    monkeypatch.setattr("bulk.import_file_store.store_file", lambda *_: os.kill(os.getpid(), signal.SIGINT))

    with pytest.raises(CommandError, match=r"^Interrupted\. Nothing was applied\.$"):
        call_command("import_students", file)

    assert Import.objects.count() == 0


def test_an_interrupted_undo_can_be_started_again(file, small_chunks, monkeypatch):
    call_command("import_students", file)
    job = Import.objects.get()
    undoer = StudentImporter.undo_importer
    with monkeypatch.context() as patch:
        in_chunk(patch, 2, lambda: os.kill(os.getpid(), signal.SIGINT), undoer)
        with pytest.raises(CommandError) as ended:
            call_command("undo_import", str(job.pk))
    advice = f"2 rows were undone. To undo the others, run manage.py undo_import {job.pk}."
    assert str(ended.value) == f"Interrupted. {advice}"

    with pytest.raises(SystemExit):  # two rows are deleted already: they are kept
        call_command("undo_import", str(job.pk))

    assert Student.objects.count() == 0


@pytest.mark.parametrize(("on_error", "applied"), [("abort", 0), ("skip", 2)])
def test_after_an_unexpected_error_a_command_import_fails_and_releases_its_dataset(
    file, small_chunks, monkeypatch, on_error, applied
):
    with monkeypatch.context() as patch:
        in_chunk(patch, 2, raising(KeyError("S-1")))
        with pytest.raises(CommandError) as ended:
            call_command("import_students", file, on_error=on_error)

    job = Import.objects.get()
    advice = f"2 rows were applied. To undo them, run manage.py undo_import {job.pk}."
    assert str(ended.value) == f"An unexpected error (KeyError). {advice if applied else 'Nothing was applied.'}"
    assert (job.state, job.applied_rows, Student.objects.count()) == (State.FAILED, applied, applied)
    said = "2 rows were applied. Use undo to reverse them." if applied else "Nothing was applied."
    assert without_parts(job.problems) == [
        {"code": "interrupted", "field": None, "message": f"The import was interrupted by an error (KeyError). {said}"}
    ]
    call_command("import_students", file, on_error=on_error)
    assert Student.objects.count() == 6


def test_no_worker_continues_a_command_import_that_an_unexpected_error_has_ended(small_chunks, monkeypatch):
    order = ImportRequest(
        kind="students", channel=ImportChannel.COMMAND, request_id="r", review="needed", on_error="skip"
    )
    job = submit(io.BytesIO((STUDENTS + ROWS).encode()), order, dispatch=reserve)
    with monkeypatch.context() as patch:
        in_chunk(patch, 2, raising(KeyError("S-1")))
        with pytest.raises(KeyError):
            process_here(job, io.StringIO())

    work()

    job.refresh_from_db()
    assert (job.state, Student.objects.count()) == (State.FAILED, 2)


def test_the_import_of_a_killed_command_is_released_for_the_next_one(file, small_chunks):
    for checkpoint in (0, 2):
        left = Import.objects.create(
            kind="students",
            door=ImportChannel.COMMAND,
            request_id="r",
            state=State.APPLYING,
            lease_owner="elsewhere:1:x",
            leased_until="2026-01-01T00:00:00Z",
            checkpoint=checkpoint,
            counts={"created": checkpoint},
        )
        Progress.objects.create(file_import=left)

        call_command("import_students", file, again=True)

        left.refresh_from_db()
        said = "2 rows were applied. Use undo to reverse them." if checkpoint else "Nothing was applied."
        assert (left.state, left.problems[0]["message"]) == (State.FAILED, f"The import was interrupted. {said}")


def test_a_worker_does_not_claim_an_import_that_a_command_has_just_received(file, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "bulk.commands.import_command.write_id",
        lambda job, stderr: seen.append((waiting_import_ids(), job.lease_owner != "")),
    )

    call_command("import_students", file)

    assert seen == [([], True)]
    assert Import.objects.get().state == State.DONE


def test_an_approval_by_command_is_applied_by_the_command_and_not_by_a_worker(monkeypatch, capsys):
    job = imported(STUDENTS + ROWS, kind="students", review="always")
    Import.objects.update(created_at="2026-01-01T00:00:00Z")
    seen = []
    monkeypatch.setattr(
        "bulk.management.commands.approve_import.write_id", lambda *_: seen.append(waiting_import_ids())
    )

    call_command("approve_import", str(job.pk))

    assert seen == [[]]
    assert capsys.readouterr().out == "        6 created\n6 of 6 rows were applied.\n"


def test_approve_import_exits_with_3_while_another_process_applies_the_import(monkeypatch, capsys):
    job = imported(STUDENTS + ROWS, kind="students", review="always")
    monkeypatch.setattr("bulk.commands.processing_command.process_import", lambda *_, **__: False)

    with pytest.raises(SystemExit) as ended:
        call_command("approve_import", str(job.pk))

    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (3, "")
    assert "is running in another process" in said.err


# Errors in a worker


@pytest.mark.parametrize("error", [KeyError("S-1"), OSError(28, "No space left on device"), MemoryError()])
def test_an_error_does_not_stop_the_worker_and_three_attempts_fail_the_import(monkeypatch, file, error, caplog):
    job = submit(
        io.BytesIO((STUDENTS + ROWS).encode()),
        ImportRequest(kind="students", channel=ImportChannel.API, request_id="r"),
    )
    attempts = []

    def fail(*_):
        attempts.append(1)
        raise error

    monkeypatch.setattr(StudentImporter, "apply", fail)
    Import.objects.update(created_at="2026-01-01T00:00:00Z")

    for _look in range(MAX_ATTEMPTS):
        work()

    job.refresh_from_db()
    assert (MAX_ATTEMPTS, len(attempts), job.state) == (3, 3, State.FAILED)
    assert type(error).__name__ in job.problems[0]["message"]
    assert "S-1" not in job.problems[0]["message"]
    work()
    assert len(attempts) == 3


def test_attempts_are_counted_from_zero_after_each_applied_chunk(small_chunks, monkeypatch):
    job = submit(
        io.BytesIO((STUDENTS + ROWS).encode()),
        ImportRequest(kind="students", channel=ImportChannel.API, request_id="r", review="needed", on_error="skip"),
    )
    real, calls = StudentImporter.apply, []

    def apply(self, rows):
        calls.append(1)
        if len(calls) % 3:  # two failures before each success
            raise KeyError
        return real(self, rows)

    monkeypatch.setattr(StudentImporter, "apply", apply)
    for _attempt in range(7):
        try:
            processing.process_import(job.pk)
        except KeyError:
            continue

    job.refresh_from_db()
    assert (job.state, Student.objects.count()) == (State.DONE, 6)


def test_an_import_that_kills_its_process_three_times_without_progress_fails():
    job = imported(STUDENTS + ROWS, kind="students", review="always")
    approve(job.pk)
    for _kill in range(3):
        assert claim(job.pk) is not None
        Import.objects.update(leased_until="2026-01-01T00:00:00Z")

    assert claim(job.pk) is None

    job.refresh_from_db()
    assert (job.state, job.problems[0]["code"]) == (State.FAILED, "interrupted")


def test_an_undo_keeps_rows_without_an_earlier_version_in_the_history():
    imported(STUDENTS + "S-1,Ada,Byron\nS-2,Alan,Turing\n", kind="students")
    job = imported(STUDENTS + "S-1,Ada,Lovelace\nS-2,Alan,T\nS-3,Grace,Hopper\n", kind="students")
    history = Student.history.model.objects
    first = Import.objects.order_by("pk")[0]
    history.filter(history_change_reason=f"import {first.pk}", student_number="S-1").delete()
    history.filter(student_number="S-2").delete()

    undone = undo(job)

    assert undone.state == State.DONE
    found = [(outcome, codes) for _number, outcome, codes in outcomes(undone)]
    assert sorted(found) == [
        ("kept", ["no_earlier_version"]),
        ("kept", ["no_earlier_version"]),
        ("reversed", []),
    ]
    names = Student.objects.order_by("student_number").values_list("student_number", "family_name")
    assert list(names) == [("S-1", "Lovelace"), ("S-2", "T")]
    job.refresh_from_db()
    assert job.state == State.PARTLY_UNDONE


# Cancelled late


def test_a_late_cancel_does_not_cancel_a_later_approval():
    job = imported(STUDENTS + ROWS, kind="students", review="always", on_error="skip")
    Progress.objects.update(wants_cancel=True)  # written before the preview ended, and never read

    approve(job.pk)

    assert (worked_on(job).state, Student.objects.count()) == (State.DONE, 6)


def test_a_cancel_while_a_preview_is_saved_cancels_the_import(monkeypatch):
    real = ResultWriter.write

    def write(book):
        Progress.objects.update(wants_cancel=True)
        real(book)

    monkeypatch.setattr(ResultWriter, "write", write)

    assert imported(STUDENTS + ROWS, kind="students", review="always").state == State.CANCELLED


def test_a_cancel_in_the_last_chunk_of_a_full_file_keeps_its_drops_and_can_be_undone(monkeypatch):
    make_course(code="M-1")
    for number in range(1, 21):
        make_student(student_number=f"S-{number}")
    rows = [f"S-{number},M-1,,,,\n" for number in range(1, 21)]
    imported(ENROLLMENTS + "".join(rows))
    wish = {"mode": "full", "scope": "course:M-1", "on_error": "skip"}
    in_chunk(monkeypatch, 2, lambda: Progress.objects.update(wants_cancel=True), EnrollmentImporter)

    job = imported(ENROLLMENTS + "".join(rows[:19]), **wish)

    assert (job.state, StudentCourse.objects.open().count()) == (State.CANCELLED, 19)
    worked_on(start_undo(job.pk, channel=ImportChannel.COMMAND, request_id="u"))
    assert StudentCourse.objects.open().count() == 20


# Datasets of API clients

ADDRESS = "/api/v1/imports"


@pytest.fixture
def clients(make_client):
    """Two API clients with the same scopes."""
    return [make_client("imports:read", "imports:write") for _ in range(2)]


def send(client, text, **wish):
    query = urlencode({"kind": "students", "review": "needed", **wish})
    return client.post(f"{ADDRESS}?{query}", text, content_type="text/csv")


def test_clients_and_staff_have_separate_datasets(clients, file):
    portal, library = clients
    text = STUDENTS + ROWS
    first = send(portal, text, review="always")

    second = send(library, text, review="always")
    call_command("import_students", file)

    assert (first.status_code, second.status_code) == (202, 202)
    assert Import.objects.get(door=ImportChannel.COMMAND).state == State.DONE
    again = send(portal, text)
    assert (again.status_code, again.json()["import"]) == (409, first.json()["id"])


def test_a_client_sees_only_its_own_imports(clients, file, registrar):
    portal, library = clients
    own = send(portal, STUDENTS + ROWS).json()["id"]
    other = send(library, STUDENTS + ROWS).json()["id"]
    call_command("import_students", file)
    work()

    assert [each["id"] for each in portal.get(ADDRESS).json()["results"]] == [own]
    reads = [f"{ADDRESS}/{other}{rest}" for rest in ("", "/report", "/failed-rows")]
    writes = [f"{ADDRESS}/{other}/{verb}" for verb in ("approve", "cancel", "undo")]
    answers = [portal.get(path) for path in reads] + [portal.post(path) for path in writes]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "not_found")}
    staff = APIClient()
    staff.force_login(registrar)
    assert len(staff.get(ADDRESS).json()["results"]) == 3


def test_an_undo_belongs_to_the_dataset_of_its_import(clients):
    portal, library = clients
    job = Import.objects.get(pk=send(portal, STUDENTS + ROWS).json()["id"])
    work()

    undone = start_undo(job.pk, channel=ImportChannel.ADMIN, request_id="u")

    assert undone.dataset_key == job.dataset_key
    assert portal.get(f"{ADDRESS}/{undone.pk}").status_code == 200
    assert library.get(f"{ADDRESS}/{undone.pk}").status_code == 404
    assert send(portal, STUDENTS + ROWS, again="true").json()["import"] == undone.pk


@pytest.mark.parametrize(
    ("is_seen", "said"),
    [
        (True, "needs review. Approve or cancel it first"),
        (False, "is running. Try again when it has ended, or cancel it"),
    ],
)
def test_the_refusal_of_a_second_import_names_the_first_one(clients, is_seen, said):
    portal, _library = clients
    first = send(portal, STUDENTS + ROWS, review="always", dataset="night")
    if is_seen:
        work()

    second = send(portal, STUDENTS + "S-9,Ada,Byron\n", dataset="night")

    problem = second.json()
    assert (second.status_code, problem["code"], problem["import"]) == (409, "import_in_progress", first.json()["id"])
    assert second["Location"] == first["Location"]
    assert problem["detail"] == f"Import {first.json()['id']} of the dataset night {said}."


@pytest.mark.parametrize("verb", ["approve", "undo"])
def test_an_impossible_action_on_an_import_is_refused_before_locking(verb, monkeypatch):
    job = submit(
        io.BytesIO((STUDENTS + ROWS).encode()),
        ImportRequest(kind="students", channel=ImportChannel.API, request_id="r"),
    )
    act = approve if verb == "approve" else lambda pk: start_undo(pk, channel=ImportChannel.API, request_id="u")

    with CaptureQueriesContext(connection) as queries, pytest.raises(Refused):
        act(job.pk)

    assert [query["sql"] for query in queries if "FOR UPDATE" in query["sql"] or "SAVEPOINT" in query["sql"]] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole database")
def test_requests_do_not_wait_for_the_lock_of_a_running_import(clients, file):
    portal, _library = clients
    own = send(portal, STUDENTS + ROWS).json()["id"]
    job = submit(
        io.BytesIO((STUDENTS + ROWS).encode()),
        ImportRequest(kind="students", channel=ImportChannel.COMMAND, request_id="r"),
    )
    ids = [own, job.pk]
    Import.objects.filter(pk__in=ids).update(lease_owner="elsewhere:1:x", leased_until="2026-01-01T00:00:00Z")
    locked, done = threading.Event(), threading.Event()

    def work_long():
        with transaction.atomic():
            list(Import.objects.select_for_update().filter(pk__in=ids))
            locked.set()
            done.wait(60)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work_long)
        locked.wait(60)
        began = time.monotonic()
        try:
            second = send(portal, STUDENTS + "S-9,Ada,Byron\n")
            approved = portal.post(f"{ADDRESS}/{own}/approve")
            cancelled = portal.post(f"{ADDRESS}/{own}/cancel")
            with pytest.raises(CommandError, match=r"is running\. Try again when it has ended"):
                call_command("import_students", file)
            took = time.monotonic() - began
        finally:
            done.set()
    codes = [(answer.status_code, answer.json().get("code")) for answer in (second, approved, cancelled)]
    assert codes == [(409, "import_in_progress"), (409, "import_not_possible"), (202, None)]
    assert took < 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole database")
def test_a_second_file_is_refused_while_the_first_one_is_still_received(monkeypatch):
    inside, done = threading.Event(), threading.Event()

    def receive_slowly():
        def then(_job):
            inside.set()
            done.wait(60)

        submit(
            io.BytesIO(STUDENTS.encode()),
            ImportRequest(kind="students", channel=ImportChannel.ADMIN, request_id="r"),
            dispatch=then,
        )
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(receive_slowly)
        inside.wait(60)
        began = time.monotonic()
        try:
            with pytest.raises(Refused) as refused:
                submit(
                    io.BytesIO(STUDENTS.encode()),
                    ImportRequest(kind="students", channel=ImportChannel.ADMIN, request_id="r"),
                )
            took = time.monotonic() - began
        finally:
            done.set()
    assert [refusal.code for refusal in refused.value.refusals] == ["import_in_progress"]
    assert took < 2


# Commands name their imports


def test_list_imports_shows_the_newest_first(file, capsys):
    call_command("import_students", file, dataset="night")
    imported(STUDENTS + "S-1,,\nS-9,Ada,Byron\n", kind="students", on_error="skip")
    newest, oldest = Import.objects.all()
    capsys.readouterr()

    call_command("list_imports")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["id", "kind", "dataset", "client", "state", "rows", "counts"],
        [str(newest.pk), "students", "default", "-", "done_with_errors", "2", "1", "created,", "1", "error"],
        [str(oldest.pk), "students", "night", "-", "done", "6", "6", "created"],
    ]
    for options in ({"dataset": "night"}, {"state": "done"}):
        call_command("list_imports", **options)
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["id", str(oldest.pk)]
    call_command("list_imports", limit=1)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["id", str(newest.pk)]


@pytest.mark.parametrize("command", ["undo_import", "import_report"])
def test_every_command_prints_its_import_id_first(file, capsys, command):
    call_command("import_students", file)
    job = Import.objects.get()
    assert capsys.readouterr().err.splitlines()[0] == f"import {job.pk}"

    call_command(command, str(job.pk))

    assert capsys.readouterr().err.splitlines()[0] == f"import {Import.objects.all()[0].pk}"
