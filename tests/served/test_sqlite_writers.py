"""Writers to one SQLite file: each gets the lock in turn, and no write is lost."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.utils import ConnectionHandler

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no such lock"),
]


def test_sixteen_processes_write_without_a_database_is_locked_error():
    command = [sys.executable, "-m", "stress.run", "--short", "writers"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    broken = [line for line in done.stdout.splitlines() if line.startswith("BROKEN")]
    assert (broken, done.returncode) == ([], 0), done.stderr


class File:
    """An SQLite file with a connection for each writing thread, by the settings of the project."""

    def __init__(self, path: Path, **options: float) -> None:
        known = settings.DATABASES["default"]
        database = {**known, "NAME": str(path), "OPTIONS": {**known["OPTIONS"], **options}}
        self.connections = ConnectionHandler({"default": database})

    @contextmanager
    def writing(self):
        """Hold the write lock."""
        own = self.connections["default"]
        own.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        try:
            yield
        finally:
            own.commit()
            own.set_autocommit(True)

    def write(self) -> float:
        """Write once on a separate connection, and return the number of seconds until it got the lock."""
        began = time.monotonic()
        try:
            with self.writing():
                return time.monotonic() - began
        finally:
            self.connections.close_all()


def test_a_waiting_writer_gets_the_lock_before_a_returning_one(tmp_path):
    file, order = File(tmp_path / "file"), []

    def wait():
        with file.writing():
            order.append("who waits")
        file.connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with file.writing():
            waiting = pool.submit(wait)
            time.sleep(0.5)  # SQLite itself polls every tenth of a second by now
        with file.writing():
            order.append("who comes back")
        waiting.result()
    file.connections.close_all()

    assert order == ["who waits", "who comes back"]


def test_no_writer_waits_longer_than_the_timeout(tmp_path):
    file = File(tmp_path / "file", timeout=0.3)

    with ThreadPoolExecutor(4) as pool, file.writing():
        began = time.monotonic()
        waiting = [pool.submit(file.write) for _ in range(4)]
        errors = [str(each.exception()) for each in waiting]
        took = time.monotonic() - began
    file.connections.close_all()

    assert errors == ["database is locked"] * 4
    assert 0.3 < took < 2
    assert [type(each.exception()) for each in waiting] == [OperationalError] * 4
