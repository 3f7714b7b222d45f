"""The settings of the database that follow from the URL and the pooler."""

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from school.db.settings import database_settings

TWO_SERVERS = "postgres://school:word@db1:5432,db2:5433/school?target_session_attrs=read-write"


def settings_of(url, **values):
    defaults = {"lock_timeout": 5, "database_timeout": 5, "max_age": 60, "pooler": "", "prepared_statements": True}
    return database_settings(environ.Env.db_url_config(url), **{**defaults, **values})


def test_a_direct_connection_gets_its_timeouts_as_options():
    settings = settings_of("postgres://school@db/school?options=-c search_path=school")

    assert settings["OPTIONS"]["options"].split(" -c ") == [
        "-c search_path=school",
        "lock_timeout=5000",
        "statement_timeout=4500",
        "plan_cache_mode=force_generic_plan",
        "enable_memoize=off",
    ]
    assert settings["DISABLE_SERVER_SIDE_CURSORS"] is False
    assert "transaction_limits" not in settings["OPTIONS"]


def test_a_connection_to_a_pooler_keeps_nothing_between_transactions():
    settings = settings_of("postgres://school@db/school", pooler="transaction", prepared_statements=False)

    assert "options" not in settings["OPTIONS"]
    assert settings["OPTIONS"]["transaction_limits"] == {"lock_timeout": 5000, "statement_timeout": 4500}
    assert settings["OPTIONS"]["prepare_threshold"] is None
    assert settings["DISABLE_SERVER_SIDE_CURSORS"] is True


def test_a_url_can_name_several_servers():
    settings = settings_of(TWO_SERVERS)

    assert (settings["HOST"], settings["PORT"]) == ("db1,db2", "5432,5433")
    assert settings["OPTIONS"]["target_session_attrs"] == "read-write"


def test_another_mode_of_a_pooler_is_refused():
    with pytest.raises(ImproperlyConfigured, match="POOLER must be transaction or empty, not 'session'"):
        settings_of("postgres://school@db/school", pooler="session")
