"""Combinations of groups, and clients limited to a course, on every route of the API and every page of the admin."""

import json
import os
from itertools import combinations

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client

from courses.api_client_creation import create_api_client
from school.models import ApiClient
from tests.security import test_access as api
from tests.security import test_admin_access as desk
from tests.support.serving import manage

pytestmark = pytest.mark.django_db

GROUPS = ("Registrar", "Viewer", "Auditor")
# The roles in the tables of expected responses for a single group.
ROLES = {"Registrar": "registrar", "Viewer": "viewer", "Auditor": "auditor"}
SEVERAL = [names for size in (2, 3) for names in combinations(GROUPS, size)]
OPEN_SIGNS = "+>"


def staff(names):
    user = User.objects.create_user(" and ".join(names), is_staff=True)
    user.groups.set(Group.objects.filter(name__in=names))
    return user


def expected_signs(signs):
    """Return the possible signs for a user in several groups: those that allow, else all of them."""
    allowed = [sign for sign in signs if sign in OPEN_SIGNS]
    return set(allowed or signs)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_user_in_several_groups_has_the_admin_access_of_each_group(actor, registrar, method):
    world = desk.World("OWN", registrar, actor)
    table = {
        route: dict(zip(desk.ROLES, get if method == "GET" else post, strict=True)) for route, get, post in desk.TABLE
    }
    clients = {names: Client(raise_request_exception=False) for names in SEVERAL}
    for names, client in clients.items():
        client.force_login(staff(names))

    unexpected = []
    for route in sorted(set(desk.routes())):
        for names, client in clients.items():
            sign, _text = desk.ask(client, world, route, method)
            expected = expected_signs([table[route][ROLES[name]] for name in names])
            if sign not in expected:
                unexpected.append((route, names, sign, expected))

    assert unexpected == []


def test_a_user_in_several_groups_has_the_api_access_of_each_group(actor, registrar, viewer):
    world = api.World("OWN", registrar, actor)
    alone = {
        "Registrar": api.caller(registrar),
        "Viewer": api.caller(viewer),
        "Auditor": api.caller(staff(["Auditor"])),
    }
    several = {names: api.caller(staff(names)) for names in SEVERAL}

    unexpected = []
    for route, method, *_expected in api.TABLE:
        answers = {
            name: api.without_a_trace(lambda: world.ask(client, route, method))[0]  # noqa: B023  # called immediately
            for name, client in (alone | several).items()
        }
        for names in SEVERAL:
            single = [answers[name] for name in names]
            expected = {status for status in single if status != 403} or {403}
            if answers[names] not in expected:
                unexpected.append((route, method, names, answers[names], expected))

    assert unexpected == []


def test_an_own_courses_session_reads_nothing_of_other_courses_over_the_api(actor, registrar):
    own, foreign = api.World("OWN", registrar, actor), api.World("FOREIGN", registrar, actor)
    callers = {}
    for size in range(4):
        for names in combinations(GROUPS, size):
            user = staff(["Course staff", *names])
            own.course.staff.create(user=user)
            callers[names] = api.caller(user)

    unexpected = []
    for route, method, *_expected in api.TABLE:
        for names, client in callers.items():
            status, text = api.without_a_trace(lambda: foreign.ask(client, route, method))  # noqa: B023  # called immediately
            # The grades and the codes of the terms are the whole school's.
            foreign_text = text.replace(foreign.term.code, "").replace(foreign.grade.code, "")
            is_shared = status == 200 and method == "GET" and ("<" not in route or route == "grades/<grade>")
            if "FOREIGN-" in foreign_text or not (is_shared or status in (400, 403, 404, 422)):
                unexpected.append((route, method, names, status))

    assert unexpected == []


@pytest.mark.parametrize(("route", "method", "limited", "foreign"), [(*row[:2], *row[-2:]) for row in api.TABLE])
def test_a_client_limited_to_a_course_is_answered_like_one_limited_to_its_term(
    actor, registrar, route, method, limited, foreign
):
    keys = create_api_client("of a course", " ".join(settings.SCOPES))
    client = ApiClient.objects.get(client_id=keys.client_id)
    own, other = api.World("OWN", client.user, actor), api.World("FOREIGN", registrar, actor)
    client.courses.set([own.course])
    client.is_limited = True
    client.save()
    bearer = api.bearer(client, settings.SCOPES)

    answers = [api.without_a_trace(lambda: world.ask(bearer, route, method)) for world in (own, other)]  # noqa: B023

    # A term and the list of its courses are outside the limits of a client that is limited to one course.
    as_a_whole = {
        ("courses", "POST"): (403, 403),
        ("courses/batch", "POST"): (422, 422),
        ("terms/batch", "POST"): (422, 422),
        ("terms/<term>", "PUT"): (403, 404),
        ("terms/<term>", "PATCH"): (403, 404),
        ("terms/<term>", "DELETE"): (403, 404),
        ("courses/<course>", "DELETE"): (409, 404),
        ("imports", "POST"): (404, 404),
    }
    expected = as_a_whole.get((route, method), (limited, 200 if foreign == api.ABSENT else foreign))
    assert tuple(status for status, _text in answers) == expected
    if foreign == api.ABSENT:
        assert ["FOREIGN" in text for _status, text in answers] == [False, False]


# Routes that exist with MFA and single sign-on enabled. One sign each for an anonymous user, a user without staff
# status and a staff user: + a page, L redirect to the login, > another redirect, . 403, ? 404, x 405, ! 400.
ACCOUNTS = {
    # route: [GET, POST]
    "accounts/2fa/": ["L++", "Lxx"],
    "accounts/2fa/authenticate/": ["L>>", "L>>"],
    "accounts/2fa/reauthenticate/": ["L..", "L.."],
    "accounts/2fa/recovery-codes/": ["L??", "Lxx"],
    "accounts/2fa/recovery-codes/download/": ["L??", "L??"],
    "accounts/2fa/recovery-codes/generate/": ["L++", "L++"],
    "accounts/2fa/totp/activate/": ["L++", "L++"],
    "accounts/2fa/totp/deactivate/": ["L??", "L??"],
    "accounts/2fa/webauthn/": ["L++", "Lxx"],
    "accounts/2fa/webauthn/add/": ["L++", "L++"],
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": ["L??", "L??"],
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": ["L??", "L??"],
    "accounts/2fa/webauthn/login/": ["L>>", "L>>"],
    "accounts/2fa/webauthn/reauthenticate/": ["L..", "L.."],
    "accounts/inactive/": ["+++", "xxx"],
    "accounts/login/": ["+>>", "+>>"],
    "accounts/logout/": ["L++", "LLL"],
    "accounts/oidc/<provider_id>/login/": ["???", "???"],
    "accounts/oidc/<provider_id>/login/callback/": ["???", "???"],
    "accounts/reauthenticate/": ["L..", "L.."],
    "accounts/signup/": ["+>>", "+>>"],
    "accounts/sso/": ["L++", "L++"],
    "accounts/sso/login/cancelled/": ["+++", "xxx"],
    "accounts/sso/login/error/": ["...", "xxx"],
    "accounts/sso/signup/": ["LLL", "LLL"],
}
PROBE = """
import json, re
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import URLResolver, get_resolver

def routes(patterns, prefix=""):
    for each in patterns:
        route = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, route)
        elif route.startswith("accounts/"):
            yield route

def sign(answer):
    if answer.status_code == 302:
        return "L" if answer["Location"].startswith("/accounts/login/") else ">"
    signs = {200: "+", 400: "!", 401: ".", 403: ".", 404: "?", 405: "x"}
    return signs.get(answer.status_code, str(answer.status_code))

call_command("migrate", verbosity=0)
users = [None, User.objects.create_user("user"), User.objects.create_user("member", is_staff=True)]
found = {}
for route in routes(get_resolver().url_patterns):
    address = "/" + re.sub("<[^>]*>", "1", route)
    for method in ("get", "post"):
        signs = ""
        for user in users:
            client = Client(raise_request_exception=False, HTTP_HOST="localhost")
            if user:
                client.force_login(user, "school.accounts.backends.StaffBackend")
            signs += sign(getattr(client, method)(address))
        found.setdefault(route, []).append(signs)
print(json.dumps(found))
"""


def test_each_account_route_is_answered_as_in_the_table():
    switched_on = {
        "SECOND_FACTOR": "offered",
        "OIDC_ISSUER": "https://login.invalid",
        "OIDC_CLIENT_ID": "id",
        "OIDC_CLIENT_SECRET": "secret",
        "OIDC_CLAIM": "email",
    }
    environment = {**os.environ, **switched_on, "DATABASE_URL": "sqlite:///:memory:", "LOG_LEVEL": "CRITICAL"}

    found = json.loads(manage(environment, "shell", "-v0", "-c", PROBE).splitlines()[-1])

    assert found == ACCOUNTS
