"""An import killed in the middle leaves nothing, and can be run again."""

import os
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
from django.db import connection

from tests.support.databases import copy_sqlite
from tests.support.factories import CANARY
from tests.support.log_scan import leaks_in

ROOT = Path(__file__).resolve().parent.parent.parent
STUDENTS, COURSES = 1_500, 10

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment(tmp_path):
    """The environment of a process on the test database; SQLite in memory cannot be shared."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{tmp_path}/school.sqlite3"
    else:
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**known)
    environment = {**os.environ, "DATABASE_URL": url}
    if connection.vendor == "sqlite":
        copy_sqlite(environment)
    return environment


def command_line(*arguments):
    return [sys.executable, str(ROOT / "manage.py"), *map(str, arguments)]


def manage(environment, *arguments):
    done = subprocess.run(command_line(*arguments), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done


def test_an_import_killed_in_the_middle_leaves_nothing_and_can_be_run_again(environment, tmp_path):
    students, courses, enrollments = (tmp_path / f"{name}.csv" for name in ("students", "courses", "enrollments"))
    numbers = [f"{CANARY}-{n}" for n in range(STUDENTS)]
    students.write_text(
        "student_number,given_name,family_name,email\n"
        + "".join(f"{number},Ada,{CANARY},{number}@school.example\n" for number in numbers)
    )
    courses.write_text("course_code,name,level\n" + "".join(f"C-{n},A,introductory\n" for n in range(COURSES)))
    enrollments.write_text(
        "student_number,course_code\n" + "".join(f"{number},C-{c}\n" for c in range(COURSES) for number in numbers)
    )
    done = [manage(environment, "import_students", students), manage(environment, "import_courses", courses)]

    running = subprocess.Popen(
        command_line("import_enrollments", enrollments), env=environment, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    before_the_end = list(takewhile(lambda line: line != f"10000 of {STUDENTS * COURSES} rows\n", running.stderr))
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    running.stderr.close()

    exported = manage(environment, "export_enrollments")
    assert exported.stdout == "student_number,course_code,term,section,status,grade,reason\n"
    again = manage(environment, "import_enrollments", enrollments)
    assert f"{STUDENTS * COURSES} enrolled" in again.stdout
    logs = "".join([*(each.stderr for each in (*done, exported, again)), *before_the_end])
    assert logs.count("import_finished") == 3
    assert leaks_in(logs) == []
