"""
Run the suite twice: on SQLite, then on PostgreSQL.

Arguments are passed to pytest.

The run on PostgreSQL skips the tests that do not depend on the database, unless ``--everything`` is given. It uses the
server of DATABASE_URL, or else a temporary server. With REQUIRE_ALL=1, a missing PostgreSQL or Chromium is a failure
and not only a message.
"""

import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext

from tests.postgres import find_binaries, temporary_server

EVERYTHING = "--everything"
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
    "tests/test_sqlite_*.py",
    "tests/bulk/test_private_copy.py",
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
    "tests/security/test_roles.py",
    "tests/security/test_settings.py",
)


def main(arguments: list[str]) -> int:
    run_everything = EVERYTHING in arguments
    arguments = [each for each in arguments if each != EVERYTHING]
    failed = _run_half("SQLite", "sqlite:///:memory:", arguments)
    server = _postgres()
    if server is None:
        print("The PostgreSQL half did not run: no DATABASE_URL, and no PostgreSQL on this machine.", flush=True)
        return 1 if failed or os.environ.get("REQUIRE_ALL") == "1" else 0
    # Files named in the arguments run on both databases.
    has_paths = any(each.startswith("tests/") for each in arguments)
    left_out = [] if run_everything or has_paths else [f"--ignore-glob={each}" for each in ONCE]
    with server as url:
        failed |= _run_half("PostgreSQL", url, [*left_out, *arguments])
    return int(failed)


def _postgres() -> AbstractContextManager[str] | None:
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith(("postgres:", "postgresql:", "psql:", "pgsql:")):
        return nullcontext(given)
    binaries = find_binaries()
    return temporary_server(binaries) if binaries else None


def _run_half(name: str, url: str, arguments: list[str]) -> bool:
    print(f"== {name} ==", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", *arguments]
    return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
