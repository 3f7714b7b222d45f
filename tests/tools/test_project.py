"""Rules about the source code of the project."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tools.run_tests import ACCESSIBILITY, EXHAUSTIVE, ONCE, SQLITE_ONLY_IN_TEST

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("school", "bulk", "courses", "students", "oneroster", "webhooks")
WRITES_OF_ANY_MODEL = {"insert_many", "update_many"}
WRITES = {"create", "bulk_create", "update", "bulk_update", "get_or_create", "update_or_create", "delete", "add", "set"}


def writes_of_enrollments(source: str) -> list[int]:
    """
    Return the lines that write ``StudentCourse`` by its managers or through a relation.

    Lines that write many rows of any model are included.
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in WRITES_OF_ANY_MODEL:
            lines.append(node.lineno)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES):
            continue
        target = ast.unparse(node.func.value)
        if any(word in target for word in ("StudentCourse", ".enrollments", ".courses.", ".students", "enrollment.")):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "line",
    [
        "StudentCourse.objects.create(status='enrolled')",
        "StudentCourse.objects.filter(pk=1).update(status='dropped')",
        "student.enrollments.all().delete()",
        "course.students.add(student)",
        "student.enrollments.bulk_create([])",
        "insert_many(rows)",
        "update_many(rows, names)",
    ],
)
def test_the_search_for_writes_of_enrollments_finds_a_write(line):
    assert writes_of_enrollments(line) == [1]


def test_only_the_enrollment_service_writes_enrollments():
    found = {
        str(path.relative_to(ROOT)): lines
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if (lines := writes_of_enrollments(path.read_text()))
    }

    assert sorted(found) == [
        "bulk/importers/object_saver.py",  # which writes students, courses and terms
        "oneroster/record_writer.py",  # which writes only records of OneRoster
        "students/enrollment/batch.py",
        "students/events/journal.py",  # which writes only events
    ]


def test_no_module_calls_save_on_an_enrollment():
    """``.save()`` calls are recognized by the name of the instance."""
    saves = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "save"
        and "enroll" in ast.unparse(node.func.value)
    ]

    assert saves == []


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("target", [("students", None), ("courses", None), ("school", None)])
def test_migrations_can_be_reverted_and_applied_again(target):
    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()  # every app, because others depend on the reverted migrations
    try:
        executor.migrate([target])
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(leaves)
    assert set(MigrationExecutor(connection).loader.applied_migrations) >= set(leaves)


def test_the_import_contracts_hold():
    lint = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True)

    assert (lint.returncode, "0 broken" in lint.stdout) == (0, True)


def test_every_requirement_is_pinned_exactly_and_has_a_reason():
    for name in ("requirements.in", "requirements-dev.in"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                pin, _, reason = line.partition("#")
                assert "==" in pin, line
                assert reason.strip(), line


def test_no_source_file_has_more_than_400_lines():
    long = {
        str(path.relative_to(ROOT)): count
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if "migrations" not in path.parts and (count := len(path.read_text().splitlines())) > 400
    }

    assert long == {}


def test_every_test_that_a_target_leaves_out_exists():
    named = {*EXHAUSTIVE, *SQLITE_ONLY_IN_TEST, *ONCE, ACCESSIBILITY}
    places = [(each, *each.partition("::")[::2]) for each in sorted(named)]

    assert [
        each
        for each, files, name in places
        if not any(not name or f"def {name.partition('[')[0]}(" in path.read_text() for path in ROOT.glob(files))
    ] == []
