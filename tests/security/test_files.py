"""Files written by commands contain personal data, so only their owner can read them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from students.enrollment import enroll
from tests.support.factories import make_course, make_student

ROOT = Path(__file__).resolve().parent.parent.parent


def mode(path):
    return stat.filemode(path.stat().st_mode)


@pytest.mark.django_db
def test_exports_and_reports_are_readable_by_their_owner_only(tmp_path, actor, capsys):
    student = make_student()
    enroll(student_id=student.pk, course_id=make_course().pk, actor=actor)
    (tmp_path / "in.csv").write_text("student_number,given_name,family_name\nS-77,Ada,Byron\n")
    outputs = [tmp_path / name for name in ("all.csv", "one.json", "report.csv", "failed.csv")]
    before = os.umask(0o022)
    try:
        call_command("export_enrollments", output=str(outputs[0]))
        call_command("export_student_data", student.student_number, output=str(outputs[1]), reason="asked for")
        call_command("import_students", str(tmp_path / "in.csv"), report=str(outputs[2]), failed=str(outputs[3]))
    finally:
        os.umask(before)

    assert [mode(path) for path in outputs] == ["-rw-------"] * 4


def test_the_sqlite_file_is_readable_by_its_owner_only(tmp_path):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/school.sqlite3"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True, umask=0o022
    )

    assert {mode(path) for path in tmp_path.iterdir()} == {"-rw-------"}
