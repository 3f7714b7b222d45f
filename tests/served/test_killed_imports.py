"""
An import in chunks that is killed repeatedly at random moments ends with the result of an undisturbed one.

``KILLS=20 KILLED_ROWS=100000`` makes a long test.
"""

import csv
import os
import random
import re
import signal
import subprocess
import time

import pytest

from tests.served.test_killed import command_line, environment, manage

__all__ = ["environment"]

KILLS = int(os.environ.get("KILLS", "3"))
ROWS = int(os.environ.get("KILLED_ROWS", "20000"))
COURSES = 20
SEATS = ROWS // COURSES * 3 // 4  # so that the last quarter of each course is refused

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def file(environment, tmp_path):
    """A file with more students per course than seats, and the id of its import."""
    numbers = [f"S-{n}" for n in range(ROWS // COURSES)]
    students, courses, enrollments = (tmp_path / f"{name}.csv" for name in ("students", "courses", "enrollments"))
    students.write_text(
        "student_number,given_name,family_name\n" + "".join(f"{number},Ada,Byron\n" for number in numbers)
    )
    courses.write_text(
        "course_code,name,level,capacity\n" + "".join(f"C-{n},A,introductory,{SEATS}\n" for n in range(COURSES))
    )
    rows = "".join(f"{number},C-{course}\n" for number in numbers for course in range(COURSES))
    enrollments.write_text("student_number,course_code\n" + rows)
    manage(environment, "import_students", students)
    told = manage(environment, "import_courses", courses).stderr
    return enrollments, int(re.findall(r'"import_id": (\d+)', told)[-1]) + 1


def rows_done(environment, import_id):
    """Return the number of rows in the report; None if there is no such import yet and it must be sent again."""
    asked = subprocess.run(
        command_line("import_report", import_id), env=environment, capture_output=True, text=True, check=False
    )
    return len(asked.stdout.splitlines()) if asked.returncode == 0 else None


def test_an_import_killed_at_random_moments_ends_with_the_same_result(environment, file):
    """An import fails after three kills without progress, so each kill after the first waits for progress."""
    file, import_id = file
    dice = random.Random(ROWS)
    command = command_line("import_enrollments", file, "--on-error=skip", "--dataset=killed")
    killed, done = 0, None
    for number in range(KILLS):
        running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.5, 2))
        while number and running.poll() is None and rows_done(environment, import_id) == done:
            pass
        running.send_signal(signal.SIGKILL)
        killed += running.wait() == -signal.SIGKILL
        done = rows_done(environment, import_id)
        if done is not None:
            command = command_line("work", "--once")
    if done is None:  # killed before its start each time
        subprocess.run(command, env=environment, capture_output=True, check=False)
    for _worker in range(3):
        manage(environment, "work", "--once")

    report = manage(environment, "import_report", import_id).stdout.splitlines()
    rows = list(csv.DictReader(report))
    exported = manage(environment, "export_enrollments").stdout.splitlines()[1:]
    assert killed > 0
    assert [int(row["row"]) for row in rows] == list(range(2, ROWS + 2))
    expected = [("enrolled", "")] * (SEATS * COURSES) + [("error", "course_full")] * (ROWS - SEATS * COURSES)
    assert [(row["outcome"], row["code"]) for row in rows] == expected
    assert sorted(",".join(line.split(",")[:2]) for line in exported) == sorted(
        f"{row['student_number']},{row['course_code']}" for row in rows if row["outcome"] == "enrolled"
    )
    undone = manage(environment, "undo_import", import_id)
    assert undone.stdout.splitlines()[0].split() == [str(SEATS * COURSES), "reversed"]
