"""
A public client of OneRoster 1.2, ``timeback-oneroster`` from PyPI, reads a served School.

The client needs Python 3.12, so it cannot be installed beside School, which supports 3.11. Install it elsewhere, and
name that Python in ``ONEROSTER_CLIENT_PYTHON``, or put it on the path as ``python3.12``:

    python3.12 -m venv client && client/bin/pip install --pre timeback-oneroster "httpx<1"
    ONEROSTER_CLIENT_PYTHON=client/bin/python python -m pytest tests/oneroster/test_timeback_client.py

Without it the test is skipped, also with REQUIRE_ALL=1: most machines have no such Python. There is no public client of
OneRoster 1.1 with OAuth 2 that a test could run.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from courses.api_client_creation import create_api_client
from oneroster import sourced_ids
from tests.oneroster.rosters import make_roster

SCRIPT = Path(__file__).with_name("timeback_client.py")


def client_python() -> str | None:
    """Return a Python that has the client, None if there is none."""
    for name in (os.environ.get("ONEROSTER_CLIENT_PYTHON"), "python3.12"):
        program = shutil.which(name) if name else None
        if (
            program
            and subprocess.run([program, "-c", "import timeback_oneroster"], capture_output=True).returncode == 0
        ):
            return program
    return None


PYTHON = client_python()
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PYTHON is None, reason="there is no Python 3.12 with timeback-oneroster"),
]


def test_the_client_reads_every_list_page_by_page(live_server, actor):
    roster = make_roster(actor)
    keys = create_api_client("timeback", "rosters:read")
    command = [PYTHON, str(SCRIPT), live_server.url, keys.client_id, keys.client_secret]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)

    clazz = str(sourced_ids.class_id(roster.course.pk))
    org, teacher = roster.single("orgs"), roster.single("teachers")
    students = sorted(str(sourced_ids.student_id(each.pk)) for each in (roster.student, roster.left, roster.completed))
    left = str(sourced_ids.student_id(roster.left.pk))
    sessions = [roster.single("terms"), roster.single("gradingPeriods"), str(sourced_ids.school_year_id("2026"))]
    people = [*students, teacher]
    enrollments = [
        str(sourced_ids.enrollment_id(UUID(user), sourced_ids.class_id(roster.course.pk))) for user in people
    ]
    assert found == {
        "academic_sessions": sorted(sessions),
        "classes": [clazz],
        "courses": [roster.single("courses")],
        "enrollments": sorted(enrollments),
        "orgs": [org],
        "schools": [org],
        "students": students,
        "teachers": [teacher],
        "users": sorted(people),
        "student": students[0],
        "classes of a student": [] if students[0] == left else [clazz],
        "students of a school": students,
        "students of a class": sorted({*students} - {left}),
        "active teachers": [teacher],
        "a page": [1, True, 4],
    }
