"""An import killed in the middle leaves nothing, and can be run again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
STUDENTS, COURSES = 1_500, 10

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment(tmp_path):
    """The environment of a process that works on the test's database; SQLite in memory cannot be shared."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{tmp_path}/school.sqlite3"
    else:
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**known)
    environment = {**os.environ, "DATABASE_URL": url, "LOG_LEVEL": "WARNING"}
    if connection.vendor == "sqlite":
        manage(environment, "migrate", "--verbosity=0")
    return environment


def command_line(*arguments):
    return [sys.executable, str(ROOT / "manage.py"), *map(str, arguments)]


def manage(environment, *arguments):
    done = subprocess.run(command_line(*arguments), env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_an_import_killed_in_the_middle_leaves_nothing_and_can_be_run_again(environment, tmp_path):
    students, courses, enrollments = (tmp_path / f"{name}.csv" for name in ("students", "courses", "enrollments"))
    students.write_text(
        "student_number,given_name,family_name\n" + "".join(f"S-{n},Ada,Byron\n" for n in range(STUDENTS))
    )
    courses.write_text("course_code,name,level\n" + "".join(f"C-{n},A,introductory\n" for n in range(COURSES)))
    enrollments.write_text(
        "student_number,course_code\n" + "".join(f"S-{s},C-{c}\n" for c in range(COURSES) for s in range(STUDENTS))
    )
    manage(environment, "import_students", students)
    manage(environment, "import_courses", courses)

    running = subprocess.Popen(
        command_line("import_enrollments", enrollments), env=environment, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    assert running.stderr.readline() == f"10000 of {STUDENTS * COURSES} rows\n"
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    running.stderr.close()

    exported = manage(environment, "export_enrollments")
    assert exported == "student_number,course_code,term,status,grade,reason\n"
    again = manage(environment, "import_enrollments", enrollments)
    assert f"{STUDENTS * COURSES} enrolled" in again
