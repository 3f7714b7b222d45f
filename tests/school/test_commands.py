"""Commands print no terminal control characters."""

import io
import json
from importlib import import_module

import pytest
from django.core.management import call_command, get_commands

from bulk.models import Import
from school.commands.base import SafeCommand
from school.commands.output import escape_control_characters
from students.management.commands.import_students import Command as ImportStudents
from tests.support.factories import make_student
from tests.support.imports import imported

APPS = ("bulk", "courses", "school", "students")
OWN = sorted(name for name, app in get_commands().items() if app in APPS)
HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egnp.exe\x7f\r\u2066"
SHOWN = r"\u001b]0;owned\u0007\u009b31m\u202egnp.exe\u007f\u000d\u2066"


@pytest.mark.parametrize("name", OWN)
def test_every_command_uses_the_escaping_output(name):
    module = import_module(f"{get_commands()[name]}.management.commands.{name}")

    assert issubclass(module.Command, SafeCommand)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, SHOWN),
        ("two\nlines\r\n\tand a tab", "two\nlines\r\n\tand a tab"),
        ("Ünal “Ada” 林 👩\u200d🎓", "Ünal “Ada” 林 👩\u200d🎓"),
        ("\x00\u2028\ud800", r"\u0000\u2028\ud800"),
    ],
)
def test_terminal_control_characters_are_escaped(text, shown):
    assert escape_control_characters(text) == shown


@pytest.mark.django_db
def test_a_file_name_is_printed_escaped():
    job = imported("student_number,given_name,family_name\nS-1,Ada,B\n", kind="students")
    Import.objects.filter(pk=job.pk).update(dataset=HOSTILE)
    out = io.StringIO()

    call_command("list_imports", stdout=out)

    assert (SHOWN in out.getvalue(), "\x1b" in out.getvalue()) == (True, False)


@pytest.mark.django_db
def test_an_error_message_is_printed_escaped(capsys):
    with pytest.raises(SystemExit):
        ImportStudents().run_from_argv(["manage.py", "import_students", f"/nowhere/{HOSTILE}"])

    assert capsys.readouterr().err == (
        f"CommandError: Cannot read /nowhere/{SHOWN}: No such file or directory. Nothing was applied.\n"
    )


@pytest.mark.django_db
def test_escaping_does_not_change_the_meaning_of_json_output():
    student = make_student(student_number="S-1")
    type(student).objects.filter(pk=student.pk).update(family_name=f"{HOSTILE}x")
    out = io.StringIO()

    call_command("export_student_data", "S-1", stdout=out)

    assert "\u202e" not in out.getvalue()
    assert json.loads(out.getvalue())["student"]["family_name"] == f"{HOSTILE}x"


def test_an_unknown_command_argument_is_printed_escaped(capsys):
    """A shell pattern expands to file names as arguments, and any user may have created these files."""
    with pytest.raises(SystemExit):
        ImportStudents().run_from_argv(["manage.py", "import_students", "a.csv", HOSTILE])

    assert capsys.readouterr().err.endswith(f"error: unrecognized arguments: {SHOWN}\n")
