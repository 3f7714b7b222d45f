"""
Starts the peers: other implementations of the API and a minimal application, on the same PostgreSQL server as School.

They are in a folder outside the project (``--peers``): ``fastapi_app.py``, ``limit_app.py``, and ``sql/`` with their
schema and data; plain DRF is in ``bench/drf``. They have no tokens, no rules and no journal.
"""

import subprocess
import tempfile
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench.processes import Failed
from bench.servers import HOST, Server, serving
from tests.support.postgres import find_binaries

REQUIREMENTS = Path(__file__).with_name("peers.txt")
DRF = Path(__file__).with_name("drf")
DATABASE = "school_bench_peers"


@dataclass(frozen=True, slots=True)
class Peers:
    """The running peers by name. All of them have the same data; the ids of students and courses begin at 1."""

    servers: dict[str, Server]
    students: int
    courses: int


@contextmanager
def running_peers(folder: Path, url: str, *, students: int, courses: int, per: int) -> Iterator[Peers]:
    """Create the database of the peers and start them; raise ``Failed``."""
    for name in ("fastapi_app.py", "limit_app.py", "sql/schema.sql", "sql/seed.sql"):
        if not (folder / name).exists():
            raise Failed(f"{folder} has no {name}.")
    with ExitStack() as stack:
        python = stack.enter_context(_environment())
        dsn = stack.enter_context(_database(folder, url, students, courses, per))
        asyncpg = dsn.replace("postgresql://", "postgresql+asyncpg://")

        def uvicorn(port: int) -> list[str]:
            line = [python, "-m", "uvicorn", "--workers=2", f"--host={HOST}", f"--port={port}"]
            return [*line, "--no-access-log", "--log-level=error", "fastapi_app:app"]

        def granian(port: int) -> list[str]:
            line = [python, "-m", "granian", "--interface=wsgi", "--workers=2", "--blocking-threads=4"]
            return [*line, f"--host={HOST}", f"--port={port}", "--no-access-log", "--log-level=error", "limit_app:wsgi"]

        def gunicorn(port: int) -> list[str]:
            line = [python, "-m", "gunicorn", "--workers=2", "--threads=4", f"--bind={HOST}:{port}"]
            return [*line, "--log-level=error", "app:application"]

        probe = "/students/1/courses"
        found = {
            "FastAPI": serving(uvicorn, probe=probe, environment={"SA_DSN": asyncpg}, folder=folder),
            "DRF": serving(gunicorn, probe=probe, environment={"PG_DSN": dsn}, folder=DRF),
            "limit": serving(granian, probe=probe, environment={"PG_DSN": dsn}, folder=folder),
        }
        servers = {name: stack.enter_context(each) for name, each in found.items()}
        yield Peers(servers, students, courses)


@contextmanager
def _environment() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="school-bench-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        command = [python, "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"The peers' libraries cannot be installed:\n{done.stderr[-1000:]}")
        yield python


@contextmanager
def _database(folder: Path, url: str, students: int, courses: int, per: int) -> Iterator[str]:
    binaries = find_binaries()
    psql = str(binaries / "psql") if binaries and (binaries / "psql").exists() else "psql"
    dsn = urlsplit(url)._replace(scheme="postgresql", path=f"/{DATABASE}").geturl()
    with psycopg.connect(url.replace("postgres://", "postgresql://"), autocommit=True) as maintenance:
        maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(DATABASE)))
        maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        try:
            for name in ("schema.sql", "seed.sql"):
                values = [f"--set={key}={value}" for key, value in _values(students, courses, per)]
                command = [psql, "--quiet", "--set=ON_ERROR_STOP=1", *values, "--file", str(folder / "sql" / name), dsn]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise Failed(f"{name}: {done.stderr[-1000:]}")
            yield dsn
        finally:
            maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


def _values(students: int, courses: int, per: int) -> list[tuple[str, int]]:
    return [("students", students), ("courses", courses), ("per", per)]
