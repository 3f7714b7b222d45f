"""Passwords are hashed with Argon2, and sessions expire."""

import pytest
import time_machine
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

import school.settings

pytestmark = pytest.mark.django_db

HOME = "/admin/"


def test_passwords_are_hashed_with_argon2(settings):
    settings.PASSWORD_HASHERS = school.settings.PASSWORD_HASHERS

    assert make_password("open sesame").startswith("argon2$argon2id$")


def test_a_password_with_another_hash_is_rehashed_at_login(settings):
    user = User.objects.create_user("clerk", is_staff=True)
    settings.PASSWORD_HASHERS = school.settings.PASSWORD_HASHERS
    user.password = make_password("open sesame", hasher="pbkdf2_sha256")
    user.save()

    answer = Client().post("/admin/login/", {"username": "clerk", "password": "open sesame"})

    assert (answer.status_code, User.objects.get().password[:16]) == (302, "argon2$argon2id$")


def logged_in(user):
    client = Client()
    client.post("/admin/login/", {"username": user.username, "password": "open sesame"})
    return client


def is_in(client):
    return client.get(HOME).status_code == 200


def test_a_session_cookie_expires_when_the_browser_closes(registrar):
    assert logged_in(registrar).cookies["sessionid"]["max-age"] == ""


def test_a_session_is_extended_by_activity_and_ends_after_inactivity(registrar):
    with time_machine.travel("2026-11-02T08:00Z", tick=False) as clock:
        client = logged_in(registrar)
        went_on = []
        for _hour in range(3):
            clock.shift(100 * 60)
            went_on.append(is_in(client))
        clock.shift(121 * 60)

        assert (went_on, is_in(client)) == ([True, True, True], False)


def test_a_session_ends_twelve_hours_after_login_despite_activity(registrar):
    with time_machine.travel("2026-11-02T08:00Z", tick=False) as clock:
        client = logged_in(registrar)
        went_on = []
        for _hour in range(12):
            went_on.append(is_in(client))
            clock.shift(60 * 60)

        assert (went_on, is_in(client), is_in(client)) == ([True] * 12, False, False)


def test_the_session_is_written_at_most_every_five_minutes(registrar):
    with time_machine.travel("2026-11-02T08:00Z", tick=False) as clock:
        client = logged_in(registrar)
        client.get(HOME)
        written = [Session.objects.get().session_data]
        for minutes in (4, 2):
            clock.shift(minutes * 60)
            client.get(HOME)
            written.append(Session.objects.get().session_data)

    assert [written[0] == written[1], written[1] == written[2]] == [True, False]
