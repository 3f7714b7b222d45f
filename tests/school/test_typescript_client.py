"""A TypeScript client with types generated from the committed document enrolls a student over HTTP."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from students.models import StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tools.openapi import COMMITTED

NPM = shutil.which("npm")
REQUIRED = os.environ.get("REQUIRE_ALL") == "1"
SOURCES = Path(__file__).resolve().parent / "typescript"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(NPM is None and not REQUIRED, reason="npm is not installed"),
]


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the generated types and the compiled program."""
    folder = tmp_path_factory.mktemp("typescript") / "client"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("node_modules"))
    run(str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    programs = folder / "node_modules" / ".bin"
    run(programs / "openapi-typescript", COMMITTED, "-o", "schema.ts", folder=folder)
    run(programs / "tsc", "--project", ".", folder=folder)
    return folder


def test_the_generated_types_have_no_any(project):
    types = re.sub(r"/\*.*?\*/", "", (project / "schema.ts").read_text(), flags=re.DOTALL)

    assert re.findall(r".*\bany\b.*", types) == []


def test_the_typescript_client_enrolls_a_student_and_reads_a_refusal(project, live_server, api):
    student = make_student(student_number="S-1042")
    term = make_term(code="2026F")
    make_course(code="MATH-101", term=term)
    make_course(code="MATH-102", term=term, capacity=0)
    token = api._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")

    arguments = ["S-1042", "2026F", "MATH-101", "MATH-102"]
    answer = run("node", "out/enroll.js", live_server.url, token, *arguments, folder=project)

    assert json.loads(answer) == {"outcomes": ["enrolled", "course_full"], "codes": ["MATH-101"]}
    assert StudentCourse.objects.get().student == student
