"""Migrations that replace those of earlier builds: a database has all of the replaced ones, or none."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from school.db import migration_check
from school.db.migration_check import is_migrated, missing_removed_migration

pytestmark = pytest.mark.django_db

REPLACED = {"bulk": 10, "courses": 14, "oneroster": 4, "school": 10, "students": 36}
LAST = ("students", "0036_markers_of_history")


@pytest.fixture(autouse=True)
def clear_migration_cache(monkeypatch):
    monkeypatch.setattr(migration_check, "_migrated", [])


def replaced(app):
    """Return the replaced migrations of an app, in the order in which earlier builds applied them."""
    migrations = MigrationLoader(None).disk_migrations.values()
    return sorted(key for each in migrations if each.app_label == app for key in each.replaces)


def test_a_database_of_the_last_earlier_build_is_up_to_date():
    recorder = MigrationRecorder(connection)
    loader = MigrationLoader(connection)
    for key in loader.replacements:
        recorder.record_unapplied(*key)

    call_command("migrate", check_unapplied=True, verbosity=0)
    assert is_migrated()
    call_command("migrate", verbosity=0)
    assert set(loader.replacements) <= set(recorder.applied_migrations())


@pytest.mark.parametrize(("app", "count"), REPLACED.items())
def test_a_database_with_only_the_first_replaced_migrations_is_recognized(app, count):
    keys, loader = replaced(app), MigrationLoader(None)

    missing = [missing_removed_migration(loader, keys[:number]) for number in range(count + 1)]

    assert [key for key in missing if key is None] == [None, None]
    assert (missing[0], missing[count], missing[count - 1]) == (None, None, ".".join(keys[-1]))


def test_a_database_between_replaced_migrations_is_refused():
    MigrationRecorder(connection).record_unapplied(*LAST)

    assert not is_migrated()
    with pytest.raises(CommandError) as refused:
        call_command("migrate", verbosity=0)
    assert str(refused.value) == (
        "The database lacks the migration students.0036_markers_of_history, which this build has no longer. "
        "Upgrade the database first with the last build that has it."
    )
