"""Fixtures for clients of every kind, and the log scan at the end of a run."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import Client
from rest_framework.test import APIClient

from courses.api_client_creation import create_api_client
from students.enrollment import lock_free_refusal
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.support import databases
from tests.support.clients import api_client, browser_client
from tests.support.log_scan import leaks_in

LOGS = Path(os.environ["TEST_FOLDER"])
MAX_VALUE_IN_NAME = 200


# No deadline, as machines may be busy, and the same examples in every run, so that failures are reproducible.
hypothesis.settings.register_profile("school", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "school"))


def pytest_configure(config: pytest.Config) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; no password here is secret
    static = settings.MIDDLEWARE.index("whitenoise.middleware.WhiteNoiseMiddleware")
    settings.MIDDLEWARE[static] = "tests.support.static_files.CachedWhiteNoiseMiddleware"
    if settings.DATABASES["default"]["ENGINE"] == "school.db.sqlite":
        # pytest-django recognizes only Django's own SQLite engine, and would create a file for each worker.
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = ":memory:"
        settings.MIDDLEWARE.insert(0, "tests.support.one_at_a_time.OneAtATimeMiddleware")
    # Log entries also go to a file, in the format of production.
    stderr = next(h for h in logging.getLogger().handlers if h.formatter)
    to_file = logging.FileHandler(LOGS / f"{os.getpid()}.log", delay=True)
    to_file.setFormatter(stderr.formatter)
    logging.getLogger().addHandler(to_file)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a test with a long value by the argument: the name would have the whole value, up to ten megabytes."""
    return argname if isinstance(val, str | bytes) and len(val) > MAX_VALUE_IN_NAME else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if its logs contain personal data. With several workers, the main process checks at the end."""
    if hasattr(session.config, "workerinput"):
        return
    if connection.vendor == "postgresql":
        databases.drop_postgresql_template()
    text = "".join(path.read_text() for path in sorted(LOGS.glob("*.log")))
    found = leaks_in(text)
    if found:
        print(f"\nPersonal data in the logs of the run, {len(found)} lines, the first:\n{found[0]}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Let the test database be a copy of the migrated template."""
    test = settings.DATABASES["default"].setdefault("TEST", {})
    if connection.vendor == "postgresql":
        test["TEMPLATE"] = databases.postgresql_template()
    connection_created.connect(databases.load_sqlite_template)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """After a transactional test, empty only the tables that have rows, and keep the rows of migrations."""
    with django_db_blocker.unblock():
        databases.rows_of_migrations()
    operations: Any = type(connection.ops)
    flush = operations.sql_flush

    def sql_flush(self: Any, *_arguments: Any, **_options: Any) -> list[str]:
        databases.empty_tables()
        return []  # no statements are left

    operations.sql_flush = sql_flush
    yield
    operations.sql_flush = flush


@pytest.fixture(autouse=True)
def _no_full_courses() -> None:
    """Forget the courses that the last test has found full, because SQLite gives their ids to other courses."""
    lock_free_refusal._full_until.clear()


@pytest.fixture
def actor() -> ActorContext:
    return ActorContext(Channel.SYSTEM)


@pytest.fixture
def make_client(db: None) -> Callable[..., APIClient]:
    """Create an API client with these scopes and a token from the token endpoint."""

    def make(*scopes: str) -> APIClient:
        name = f"program {User.objects.count()}"
        return api_client(create_api_client(name, " ".join(scopes)))

    return make


@pytest.fixture
def api(make_client: Callable[..., APIClient]) -> APIClient:
    """An API client with all scopes."""
    return make_client(*settings.SCOPES)


@pytest.fixture
def client() -> Client:
    return browser_client()


@pytest.fixture
def registrar(db: None) -> User:
    return _staff("registrar", "Registrar")


@pytest.fixture
def viewer(db: None) -> User:
    return _staff("viewer", "Viewer")


def _staff(name: str, group: str) -> User:
    user = User.objects.create_user(name, password="open sesame", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


@pytest.fixture
def registrar_client(registrar: User, client: Client) -> Client:
    """A test client that is logged in as a registrar."""
    client.force_login(registrar)
    return client


@pytest.fixture
def page_errors() -> list[str]:
    """
    The errors of browser pages so far (tests.support.browser).

    A test that provokes an error removes it from the list.
    """
    return []
