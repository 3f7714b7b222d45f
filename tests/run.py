"""
Run the whole suite twice: on SQLite, then on PostgreSQL. Arguments are handed to pytest.

PostgreSQL is the server of DATABASE_URL, else one of the suite's own. With REQUIRE_ALL=1 a part that cannot run, for
want of PostgreSQL or Chromium, is a failure and not a line of text.
"""

import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext

from tests.postgres import find_binaries, throwaway_server


def main(arguments: list[str]) -> int:
    failed = _run_half("SQLite", "sqlite:///:memory:", arguments)
    server = _postgres()
    if server is None:
        print("The PostgreSQL half did not run: no DATABASE_URL, and no PostgreSQL on this machine.", flush=True)
        return 1 if failed or os.environ.get("REQUIRE_ALL") == "1" else 0
    with server as url:
        failed |= _run_half("PostgreSQL", url, arguments)
    return int(failed)


def _postgres() -> AbstractContextManager[str] | None:
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith(("postgres:", "postgresql:", "psql:", "pgsql:")):
        return nullcontext(given)
    binaries = find_binaries()
    return throwaway_server(binaries) if binaries else None


def _run_half(name: str, url: str, arguments: list[str]) -> bool:
    print(f"== {name} ==", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", *arguments]
    return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
