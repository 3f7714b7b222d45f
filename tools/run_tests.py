"""
Run the tests on SQLite, then on PostgreSQL.

Arguments are passed to pytest. Without options, the files of EXHAUSTIVE are left out; ``--everything`` runs them too.
PostgreSQL runs what depends on the database: all but the files of ONCE. ``--a11y`` runs only the accessibility checks.

PostgreSQL is the server of DATABASE_URL, or else a temporary one. With REQUIRE_ALL=1, a missing PostgreSQL or Chromium
is a failure and not only a message.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from tests.postgres import find_binaries, temporary_server

EVERYTHING, A11Y = "--everything", "--a11y"
ACCESSIBILITY = "tests/test_browser_accessible.py"
# Each page, form, parameter, header or moment in turn, with the worst input: `make test-all` runs them.
EXHAUSTIVE = (
    "tests/hostile/test_admin*.py",
    "tests/school/test_openapi_conformance.py",
    "tests/school/test_openapi_links.py",
    "tests/security/test_admin_queries.py",
    "tests/security/test_budget*.py",
    "tests/security/test_erasure.py",
    "tests/security/test_own_courses.py",
    "tests/test_browser_crowd.py",
    "tests/test_database_away.py",
    "tests/test_killed*.py",
    "tests/test_machine.py",
    "tests/test_run.py",
    "tests/test_sqlite_*.py",
    "tests/test_throttling_served.py",
)
# The tests that do not depend on the database: of pages, texts, documents and processes.
ONCE = (
    "tests/test_browser*.py",
    "tests/test_admin_access.py",
    "tests/test_commands.py",
    "tests/test_docs.py",
    "tests/test_language.py",
    "tests/test_messages.py",
    "tests/test_mutants.py",
    "tests/test_project.py",
    "tests/test_run.py",
    "tests/test_server.py",
    "tests/test_sqlite_*.py",
    "tests/bulk/test_cells.py",
    "tests/bulk/test_private_copy.py",
    "tests/bulk/test_reading.py",
    "tests/hostile/test_wire.py",
    "tests/school/test_compatibility.py",
    "tests/school/test_console.py",
    "tests/school/test_desk.py",
    "tests/school/test_error_pages.py",
    "tests/school/test_generated_client.py",
    "tests/school/test_languages.py",
    "tests/school/test_openapi*.py",
    "tests/school/test_passwords.py",
    "tests/school/test_typescript_client.py",
    "tests/school/test_wording.py",
    "tests/security/test_budget*.py",
    "tests/security/test_own_courses.py",
    "tests/security/test_roles.py",
    "tests/security/test_settings.py",
    "tests/students/test_rules.py",
)


def main(arguments: list[str]) -> int:
    options, arguments = [
        [each for each in arguments if (each in (EVERYTHING, A11Y)) == is_option] for is_option in (True, False)
    ]
    if A11Y in options:
        return int(_run_half("SQLite", "sqlite:///:memory:", [ACCESSIBILITY, *arguments]))
    # Files named in the arguments run on both databases.
    has_paths = any(each.startswith("tests/") for each in arguments)
    left_out = () if has_paths else (ACCESSIBILITY, *(() if EVERYTHING in options else EXHAUSTIVE))
    failed = _run_half("SQLite", "sqlite:///:memory:", [*_ignoring(left_out), *arguments])
    server = _postgres()
    if server is None:
        print("The PostgreSQL half did not run: no DATABASE_URL, and no PostgreSQL on this machine.", flush=True)
        return 1 if failed or os.environ.get("REQUIRE_ALL") == "1" else 0
    with server as url:
        failed |= _run_half("PostgreSQL", url, [*_ignoring(() if has_paths else (*left_out, *ONCE)), *arguments])
    return int(failed)


def _ignoring(files: Iterable[str]) -> list[str]:
    return [f"--ignore-glob={each}" for each in files]


def _postgres() -> AbstractContextManager[str] | None:
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith(("postgres:", "postgresql:", "psql:", "pgsql:")):
        return nullcontext(given)
    binaries = find_binaries()
    return temporary_server(binaries) if binaries else None


def _run_half(name: str, url: str, arguments: list[str]) -> bool:
    print(f"== {name} ==", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", *arguments]
    return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode != 0


if __name__ == "__main__":
    # Test modules, and the commands that tests start, are compiled once for both databases.
    with tempfile.TemporaryDirectory(prefix="school-bytecode-") as bytecode:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.setdefault("PYTHONPYCACHEPREFIX", bytecode)
        code = main(sys.argv[1:])
    sys.exit(code)
