"""Clients of every kind, and the look through the logs that ends a run."""

import logging
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from courses.api_clients import create_api_client
from students.enrollment.commands import ActorContext
from students.models import Channel
from tests.logs import leaks_in

LOGS = Path(os.environ["TEST_LOGS"])


# Busy machines are slow, and a run that failed must fail again: the same examples every time.
hypothesis.settings.register_profile("school", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "school"))


def pytest_configure(config: pytest.Config) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; nothing here is secret
    if settings.DATABASES["default"]["ENGINE"] == "school.db.sqlite":
        # pytest-django knows Django's own SQLite only, and would make a file of this name for each worker.
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = ":memory:"
        settings.MIDDLEWARE.insert(0, "tests.one_at_a_time.OneAtATimeMiddleware")
    # What the tests log goes to a file as well, in production's own format.
    stderr = next(h for h in logging.getLogger().handlers if h.formatter)
    to_file = logging.FileHandler(LOGS / f"{os.getpid()}.log", delay=True)
    to_file.setFormatter(stderr.formatter)
    logging.getLogger().addHandler(to_file)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when its logs hold personal data. With several workers the one in charge looks, at the end."""
    if hasattr(session.config, "workerinput"):
        return
    text = "".join(path.read_text() for path in sorted(LOGS.glob("*.log")))
    found = leaks_in(text)
    if found:
        print(f"\nPersonal data in the logs of the run, {len(found)} lines, the first:\n{found[0]}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def tests_may_empty_the_journal() -> Iterator[None]:
    """Let the flush after a test with transactions of its own empty journal and record: it deletes, or truncates."""
    journal = import_module("students.migrations.0004_append_only_journal")
    record = import_module("school.migrations.0006_append_only_access")
    truncates = [
        import_module("students.migrations.0020_journal_refuses_truncate"),
        import_module("school.migrations.0007_access_refuses_truncate"),
    ]
    off = {
        "sqlite": [*journal.DROP["sqlite"], *record.DROP["sqlite"]],
        "postgresql": [each.DROP for each in truncates],
    }[connection.vendor]
    on = {
        "sqlite": [*journal.CREATE["sqlite"], *record.CREATE["sqlite"]],
        "postgresql": [each.CREATE for each in truncates],
    }[connection.vendor]
    operations: Any = type(connection.ops)
    flush = operations.sql_flush

    def sql_flush(self: Any, *args: Any, **options: Any) -> list[str]:
        return [*off, *flush(self, *args, **options), *on]

    operations.sql_flush = sql_flush
    yield
    operations.sql_flush = flush


@pytest.fixture
def origin() -> ActorContext:
    return ActorContext(Channel.SYSTEM)


@pytest.fixture
def make_client(db: None) -> Callable[..., APIClient]:
    """Make a program with these scopes and a token taken at the real endpoint."""

    def make(*scopes: str) -> APIClient:
        name = f"program {User.objects.count()}"
        keys = create_api_client(name, " ".join(scopes))
        form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
        token = Client().post("/oauth/token", form).json()["access_token"]
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client

    return make


@pytest.fixture
def api(make_client: Callable[..., APIClient]) -> APIClient:
    """A program that may do everything."""
    return make_client(*settings.SCOPES)


@pytest.fixture
def registrar(db: None) -> User:
    return _staff("registrar", "Registrar")


@pytest.fixture
def viewer(db: None) -> User:
    return _staff("viewer", "Viewer")


def _staff(name: str, group: str) -> User:
    if not Group.objects.exists():  # a test with transactions of its own has emptied the database before
        import_module("students.migrations.0002_groups").make_groups(apps, None)
        import_module("students.migrations.0005_registrars_may_waive").allow(apps, None)
        import_module("students.migrations.0007_groups_import").allow(apps, None)
        import_module("students.migrations.0012_registrars_export_personal_data").allow(apps, None)
        import_module("students.migrations.0014_course_staff_and_auditors").make_groups(apps, None)
        import_module("students.migrations.0017_staff_see_refusals").allow(apps, None)
    user = User.objects.create_user(name, password="open sesame", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


@pytest.fixture
def registrars_desk(registrar: User, client: Client) -> Client:
    """The admin, with a registrar logged in."""
    client.force_login(registrar)
    return client


@pytest.fixture
def complaints() -> list[str]:
    """What was wrong with the pages of a browser so far (tests.browser). Who provokes something takes it out again."""
    return []
