"""Commands in an adverse environment: full disks, pipes, lost files, and settings of another folder."""

import errno
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.test import Client

import bulk.commands.import_command
import school.commands.progress
from bulk.exports import Export
from bulk.files.csv_reader import open_source
from bulk.importers.registry import importer_classes
from bulk.models import Import
from school.commands.private_files import OutputError
from school.commands.progress import ProgressLines
from school.models import ApiClient
from students.enrollment import complete, enroll
from students.management.commands.run_demo import demo_keys
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.imports import outcomes

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = "student_number,given_name,family_name\n"
FULL = Path("/dev/full")
OWN = sorted(name for name, app in get_commands().items() if app in ("bulk", "courses", "school", "students"))

on_full_disks = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


# make run


@pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": "postgres://elsewhere/production"}])
def test_make_run_uses_the_file_of_its_own_folder_with_any_configured_database(tmp_path, environment):
    folder = tmp_path / "a folder's #1 name? 100%41"
    (folder / ".venv/bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    (folder / ".venv/bin/.runtime").touch()
    (folder / ".env").write_text(
        f"SECRET_KEY={os.environ['SECRET_KEY']}\nDATABASE_URL=postgres://elsewhere/from_env_file\n"
    )
    python = folder / ".venv/bin/python"
    database = (
        "from school.settings import DATABASES; print(DATABASES['default']['ENGINE'], DATABASES['default']['NAME'])"
    )
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{database}"\n')
    python.chmod(0o755)

    said = subprocess.run(
        ["make", "run", f"PYTHON={sys.executable}"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ENV_FILE": str(folder / ".env"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.stdout, said.stderr) == ("school.db.sqlite school.sqlite3\n", "")


# The demo's keys


def let_in(keys):
    """Return whether the staff user and the client can log in with these keys."""
    basic = b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
    form = {"grant_type": "client_credentials"}
    answer = Client().post("/oauth/token", form, headers={"Authorization": f"Basic {basic}"})
    desk = Client().post("/admin/login/", {"username": "registrar", "password": keys["password"]})
    return desk.status_code == 302, answer.status_code == 200


@pytest.fixture
def given(db, tmp_path):
    """The file of the demo's keys, and its content."""
    file = tmp_path / ".demo.json"
    return file, demo_keys(file)


def test_the_demo_keeps_its_keys_in_a_file_readable_only_by_its_owner(given):
    file, keys = given

    assert demo_keys(file) == keys
    assert let_in(keys) == (True, True)
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", [None, b"", b'{"password": "x', b'{"password": "x"}', b"[]", b"\xff\xfe\x00"])
def test_the_demo_gives_new_keys_to_the_same_user_and_client_if_its_file_is_lost(given, content):
    file, lost = given
    file.unlink() if content is None else file.write_bytes(content)

    keys = demo_keys(file)

    assert let_in(keys) == (True, True)
    assert keys["client_id"] == lost["client_id"]
    assert keys.keys() & lost.keys() == {"password", "client_id", "client_secret"}
    assert let_in(lost) == (False, False)
    assert (User.objects.count(), ApiClient.objects.count()) == (2, 1)
    assert demo_keys(file) == keys


def test_the_demo_gives_new_keys_if_its_file_is_of_another_database(given):
    file, _keys = given
    ApiClient.objects.all().delete()
    User.objects.all().delete()

    assert let_in(demo_keys(file)) == (True, True)


def test_the_demo_does_not_reset_a_password_that_was_changed(given):
    file, keys = given
    registrar = User.objects.get(username="registrar")
    registrar.set_password("open sesame")
    registrar.save()

    assert demo_keys(file) == keys
    assert let_in({**keys, "password": "open sesame"}) == (True, True)


@on_full_disks
def test_keys_that_cannot_be_saved_are_not_issued(given, monkeypatch):
    file, keys = given
    file.unlink()

    @contextmanager
    def on_a_full_disk(*_args, **_options):
        (file.parent / "draft").symlink_to(FULL)
        with (file.parent / "draft").open("w") as draft:
            yield draft

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", on_a_full_disk)

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        demo_keys(file)

    assert list(file.parent.iterdir()) == []
    assert let_in(keys) == (True, True)


# Input of imports


@contextmanager
def pipe(text):
    """Return the name of a pipe with this text, like a shell's <(…)."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    try:
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)


@pytest.mark.django_db
def test_a_command_reads_a_file_from_a_pipe():
    with pipe(HEADER + "S-1,Ada,Byron\n") as name:
        call_command("import_students", name)

    assert [str(student.student_number) for student in Student.objects.all()] == ["S-1"]


def test_a_source_that_can_be_read_only_once_is_buffered_for_repeated_reads():
    with pipe("abc") as name, open_source(name) as source:
        readings = [source.read()]
        source.seek(0)
        readings.append(source.read())

    assert readings == [b"abc", b"abc"]


# Output of imports


@on_full_disks
@pytest.mark.django_db
@pytest.mark.parametrize("rows", [1, 2_500])
@pytest.mark.parametrize("option", ["report", "failed"])
def test_an_import_whose_output_does_not_fit_the_disk_applies_nothing(tmp_path, option, rows):
    file = tmp_path / "file.csv"
    file.write_text(HEADER + "".join(f"S-{n},Ada,Byron\n" for n in range(rows)) + "S-1,,\n")

    with pytest.raises(CommandError) as error:
        call_command("import_students", str(file), on_error="skip", **{option: str(FULL)})

    assert str(error.value) == "Cannot write /dev/full: No space left on device. Nothing was applied."
    assert Student.objects.count() == 0


@on_full_disks
@pytest.mark.django_db
def test_an_output_that_fails_after_the_last_row_keeps_the_import_and_is_repeatable(tmp_path, capsys, monkeypatch):
    file = tmp_path / "file.csv"
    file.write_text(HEADER + "S-1,Ada,Byron\n")

    def fill_the_disk(*_outputs):
        raise OutputError("Cannot write report.csv: No space left on device.")

    monkeypatch.setattr(bulk.commands.import_command, "write_reports", fill_the_disk)
    call_command("import_students", str(file), report=str(tmp_path / "report.csv"))
    said = capsys.readouterr()
    [job] = Import.objects.all()
    call_command("import_report", job.pk)

    assert said.out == "        1 created\n1 of 1 rows were applied.\n"
    assert f"No space left on device. To get its report again, run manage.py import_report {job.pk}.\n" in said.err
    assert capsys.readouterr().out.splitlines()[1] == f"S-1,Ada,Byron,2,created,,,,{Student.objects.get().pk}"


# Exports


@on_full_disks
@pytest.mark.django_db
def test_an_export_that_does_not_fit_the_disk_names_the_file_it_cannot_write(actor):
    enroll(student_id=make_student().pk, course_id=make_course().pk, actor=actor)
    said = []

    with pytest.raises(CommandError) as error:
        call_command("export_enrollments", output=str(FULL))
    said.append(str(error.value))
    with FULL.open("w") as stdout, pytest.raises(CommandError) as error:
        call_command("export_enrollments", stdout=stdout)
    said.append(str(error.value))

    assert said == [f"Cannot write {name}: No space left on device." for name in ("/dev/full", "standard output")]


@pytest.mark.django_db
def test_an_export_ends_without_an_error_if_its_pipe_is_closed(actor):
    enroll(student_id=make_student().pk, course_id=make_course().pk, actor=actor)
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "w") as stdout:
        call_command("export_enrollments", stdout=stdout)


@pytest.mark.django_db
def test_a_carriage_return_in_a_cell_is_quoted_in_exports_and_refused_in_imports(actor, tmp_path):
    student, course = make_student(student_number="S-1"), make_course(code="M-1")
    keys = {"student_id": student.pk, "course_id": course.pk, "actor": actor}
    enroll(**keys)
    complete(**keys, grade="A\rB")
    file = tmp_path / "export.csv"

    call_command("export_enrollments", output=str(file))
    acts = EnrollmentEvent.objects.count()
    with pytest.raises(CommandError) as refused:
        call_command("import_enrollments", str(file))

    header, *_rows = file.read_bytes().splitlines(keepends=True)
    assert header == b"student_number,course_code,term,section,status,grade,reason\n"
    assert file.read_bytes().endswith(b'\n"S-1","M-1","","","completed","A\rB",""\n')
    assert str(refused.value) == "1 of 1 rows have errors. Nothing was applied."
    assert outcomes(Import.objects.get()) == [(2, "error", ["control_characters"])]
    assert EnrollmentEvent.objects.count() == acts
    assert StudentCourse.objects.get().grade == "A\rB"


# Help, and the end of commands


def own_command(name):
    return load_command_class(get_commands()[name], name)


@pytest.mark.parametrize("name", OWN)
def test_the_help_of_a_command_has_an_example_and_the_exit_codes(name):
    command = own_command(name)
    parser = command.create_parser("manage.py", name)

    headings = [line for line in parser.format_help().splitlines() if line.startswith(("Example", "Exit codes"))]

    assert [example.split()[0] for example in command.examples] == [name] * len(command.examples)
    assert headings == ["Examples:" if len(command.examples) > 1 else "Example:", "Exit codes:"]
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("name", OWN)
def test_the_examples_of_a_command_can_be_parsed(name):
    command = own_command(name)
    parser = command.create_parser("manage.py", name)

    parsed = [parser.parse_args(shlex.split(each.partition(" |")[0])[1:]) for each in command.examples]

    assert len(parsed) == len(command.examples)


@pytest.mark.parametrize("kind", ["terms", "students", "courses", "enrollments"])
def test_the_help_of_an_import_has_every_column(kind):
    section = own_command(f"import_{kind}").epilog().partition("Columns:\n")[2].partition("\n\n")[0]

    assert [line.split()[0] for line in section.splitlines()] == [c.name for c in importer_classes()[kind].columns]


@pytest.mark.parametrize("name", OWN)
def test_an_option_has_the_same_form_in_every_command(name):
    forms = {"--term": "CODE", "--report": "FILE", "--output": "FILE", "--actor": "USERNAME"}
    actions = own_command(name).create_parser("manage.py", name)._actions
    options = {each.option_strings[-1]: each.metavar for each in actions if each.option_strings}

    assert {name: form for name, form in options.items() if forms.get(name, form) != form} == {}


def test_a_wrong_command_line_is_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        own_command("import_students").run_from_argv(["manage.py", "import_students", "a.csv", "--none"])

    assert (left.value.code, capsys.readouterr().err) == (
        2,
        "manage.py import_students: error: unrecognized arguments: --none\n",
    )


def interrupted(*_args, **_options):
    raise KeyboardInterrupt


@pytest.mark.django_db
def test_an_interrupted_export_leaves_the_earlier_file_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "students.csv"
    target.write_text("earlier")
    monkeypatch.setattr(Export, "stream", interrupted)

    with pytest.raises(CommandError) as error:
        call_command("export_students", output=str(target))

    assert (str(error.value), error.value.returncode) == ("Interrupted. Nothing was changed.", 130)
    assert ([file.name for file in tmp_path.iterdir()], target.read_text()) == (["students.csv"], "earlier")


@pytest.mark.django_db
def test_a_refused_import_leaves_an_earlier_report_as_it_was(tmp_path):
    file, report = tmp_path / "file.csv", tmp_path / "report.csv"
    file.write_text(HEADER)
    report.write_text("earlier")

    with pytest.raises(CommandError, match="Give the name of the dataset"):
        call_command("import_students", str(file), dataset=" ", report=str(report))

    assert report.read_text() == "earlier"


@on_full_disks
@pytest.mark.django_db
def test_lost_messages_of_an_import_are_reported_and_keep_its_exit_code(tmp_path, capsys):
    file = tmp_path / "file.csv"
    file.write_text(HEADER + "S-1,Ada,Byron\nS-2,,\n")

    with FULL.open("w") as stdout, pytest.raises(SystemExit) as left:
        call_command("import_students", str(file), on_error="skip", stdout=stdout)

    assert left.value.code == 2
    assert capsys.readouterr().err.endswith("\nCannot write standard output: No space left on device.\n")
    assert Student.objects.count() == 1


@on_full_disks
@pytest.mark.django_db
def test_lost_messages_of_another_command_are_an_error():
    with FULL.open("w") as stdout, pytest.raises(CommandError) as error:
        call_command("list_imports", stdout=stdout)

    assert str(error.value) == "Cannot write standard output: No space left on device."


@pytest.mark.django_db
def test_an_import_goes_on_if_the_reader_of_its_messages_has_left(tmp_path):
    file = tmp_path / "file.csv"
    file.write_text(HEADER + "S-1,Ada,Byron\n")
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "w") as closed:
        call_command("import_students", str(file), stdout=closed, stderr=closed)

    assert (Import.objects.get().state, Student.objects.count()) == ("done", 1)


def test_progress_is_shown_within_a_second_and_then_at_intervals(monkeypatch):
    monkeypatch.setattr(school.commands.progress, "FIRST", 0.05)
    monkeypatch.setattr(school.commands.progress, "INTERVAL", 0.05)
    third, lines = threading.Event(), []

    def write(line):
        lines.append(line)
        if len(lines) == 3:
            third.set()

    with ProgressLines(write, lambda: "at work"):
        assert third.wait(30)

    assert lines[:3] == ["at work"] * 3


@pytest.mark.django_db
def test_a_preview_says_what_would_be_done_and_an_import_what_was_done(tmp_path, capsys):
    file = tmp_path / "file.csv"
    file.write_text(HEADER + "S-1,Ada,Byron\n")

    call_command("import_students", str(file), dry_run=True)
    call_command("import_students", str(file))

    assert capsys.readouterr().out.splitlines() == [
        "        1 would be created",
        "1 of 1 rows would be applied.",
        "        1 created",
        "1 of 1 rows were applied.",
    ]
