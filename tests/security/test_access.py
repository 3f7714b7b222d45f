"""
Access control of the API: every role on every method of every route, with an own object and with a foreign one.

In every row an anonymous request gets 401; staff without a permission, a token without a scope and a token with all
other scopes get 403. A row has the status for a token with the scope and for a registrar, the status for a viewer, and
the two statuses for a client that has every scope but is limited to a term: for objects inside the term and outside it.
Only this client distinguishes own and foreign objects, except that no client sees the imports of others. ABSENT: a list
that is returned without foreign objects.
"""

import re
from datetime import timedelta
from io import BytesIO
from zipfile import ZipFile

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, set_token_value
from rest_framework.test import APIClient

from bulk.jobs.submission import ImportRequest, submit
from bulk.models import ImportChannel
from courses.api_client_creation import create_api_client
from oneroster.api.discovery import DISCOVERY_NAMES
from school.models import ApiClient
from students.enrollment import enroll
from tests.oneroster.rosters import document
from tests.support.factories import make_course, make_grade, make_hold, make_student, make_term
from webhooks.endpoints import register
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db

ABSENT = "absent"
BOTH = "courses:write enrollments:write"  # neither of them alone is enough
FEED = "changes:read webhooks:write"  # likewise

# fmt: off
TABLE = [
    # route                                       method    scope                granted viewer  limited: own  foreign
    ("students",                                  "GET",    "students:read",     200,    200,    200,    ABSENT),
    ("students",                                  "POST",   "students:write",    201,    403,    403,    403),
    ("students/batch",                            "POST",   "students:write",    200,    403,    422,    422),
    ("students/<student>",                        "GET",    "students:read",     200,    200,    200,    404),
    ("students/<student>",                        "PUT",    "students:write",    200,    403,    403,    404),
    ("students/<student>",                        "PATCH",  "students:write",    200,    403,    403,    404),
    ("students/<student>",                        "DELETE", "students:write",    409,    403,    403,    404),
    ("students/<student>/courses",                "GET",    "enrollments:read",  200,    200,    200,    404),
    ("students/<student>/courses",                "POST",   "enrollments:write", 200,    403,    200,    404),
    ("students/<student>/courses/<course>",       "GET",    "enrollments:read",  200,    200,    200,    404),
    ("students/<student>/courses/<course>",       "PATCH",  "enrollments:write", 200,    403,    200,    404),
    ("students/<student>/courses/<course>",       "DELETE", "enrollments:write", 204,    403,    204,    404),
    ("students/<student>/holds",                  "GET",    "holds:read",        200,    200,    200,    404),
    ("students/<student>/holds",                  "POST",   "holds:write",       201,    403,    403,    403),
    ("students/<student>/holds/<hold>",           "GET",    "holds:read",        200,    200,    200,    404),
    ("students/<student>/holds/<hold>",           "DELETE", "holds:write",       204,    403,    403,    404),
    ("courses",                                   "GET",    "courses:read",      200,    200,    200,    ABSENT),
    ("courses",                                   "POST",   "courses:write",     201,    403,    201,    400),
    ("courses/batch",                             "POST",   "courses:write",     200,    403,    200,    422),
    ("courses/<course>",                          "GET",    "courses:read",      200,    200,    200,    404),
    ("courses/<course>",                          "PUT",    "courses:write",     200,    403,    200,    404),
    ("courses/<course>",                          "PATCH",  "courses:write",     200,    403,    200,    404),
    ("courses/<course>",                          "DELETE", "courses:write",     409,    403,    409,    404),
    ("courses/<course>/cancel",                   "POST",   BOTH,                200,    403,    200,    404),
    ("courses/<course>/cancel/undo",              "POST",   BOTH,                409,    403,    409,    404),
    ("courses/<course>/students",                 "GET",    "enrollments:read",  200,    200,    200,    404),
    ("terms",                                     "GET",    "courses:read",      200,    200,    200,    ABSENT),
    ("terms",                                     "POST",   "courses:write",     201,    403,    403,    403),
    ("terms/batch",                               "POST",   "courses:write",     200,    403,    200,    422),
    ("terms/<term>",                              "GET",    "courses:read",      200,    200,    200,    404),
    ("terms/<term>",                              "PUT",    "courses:write",     200,    403,    200,    404),
    ("terms/<term>",                              "PATCH",  "courses:write",     200,    403,    200,    404),
    ("terms/<term>",                              "DELETE", "courses:write",     409,    403,    409,    404),
    ("grades",                                    "GET",    "courses:read",      200,    200,    200,    200),
    ("grades",                                    "POST",   "courses:write",     201,    403,    403,    403),
    ("grades/<grade>",                            "GET",    "courses:read",      200,    200,    200,    200),
    ("grades/<grade>",                            "PATCH",  "courses:write",     200,    403,    403,    403),
    ("grades/<grade>",                            "DELETE", "courses:write",     204,    403,    403,    403),
    ("enrollments",                               "GET",    "enrollments:read",  200,    200,    200,    ABSENT),
    ("enrollments/batch",                         "POST",   "enrollments:write", 200,    403,    200,    422),
    ("enrollments/<enrollment>",                  "GET",    "enrollments:read",  200,    200,    200,    404),
    ("enrollments/<enrollment>/events",           "GET",    "enrollments:read",  200,    200,    200,    404),
    ("changes",                                   "GET",    "changes:read",      200,    200,    200,    ABSENT),
    ("exports/oneroster",                         "GET",    "rosters:read",      200,    403,    200,    ABSENT),
    ("imports",                                   "GET",    "imports:read",      200,    200,    200,    ABSENT),
    ("imports",                                   "POST",   "imports:write",     202,    403,    202,    404),
    ("imports/<import>",                          "GET",    "imports:read",      200,    200,    200,    404),
    ("imports/<import>/report",                   "GET",    "imports:read",      200,    200,    200,    404),
    ("imports/<import>/failed-rows",              "GET",    "imports:read",      200,    200,    200,    404),
    ("imports/<import>/approve",                  "POST",   "imports:write",     409,    403,    409,    404),
    ("imports/<import>/cancel",                   "POST",   "imports:write",     200,    403,    200,    404),
    ("imports/<import>/undo",                     "POST",   "imports:write",     409,    403,    409,    404),
    ("webhooks",                                  "GET",    "webhooks:write",    200,    403,    200,    ABSENT),
    ("webhooks",                                  "POST",   FEED,                201,    403,    201,    400),
    ("webhooks/<webhook>",                        "GET",    "webhooks:write",    200,    403,    200,    404),
    ("webhooks/<webhook>",                        "PATCH",  "webhooks:write",    200,    403,    200,    404),
    ("webhooks/<webhook>",                        "DELETE", "webhooks:write",    204,    403,    204,    404),
    ("webhooks/<webhook>/attempts",               "GET",    "webhooks:write",    200,    403,    200,    404),
    ("webhooks/<webhook>/ping",                   "POST",   "webhooks:write",    202,    403,    202,    404),
    ("webhooks/<webhook>/replay",                 "POST",   "webhooks:write",    200,    403,    200,    404),
    ("webhooks/<webhook>/rotate",                 "POST",   "webhooks:write",    200,    403,    200,    404),
]
# fmt: on

# Public routes, and the status of a GET.
OPEN = {
    "": 302,
    "api": 200,
    "api/v1": 200,
    "api/schema": 200,
    "api/docs": 200,
    "oauth/token": 405,
    ".well-known/oauth-authorization-server": 200,
    "health": 200,
    "health/live": 200,
    "health/ready": 503,  # no worker is running
    "metrics": 404,
    "problems/": 200,
    "problems/<code>": 200,
    "language": 302,
    # Without a mail server, no password can be reset.
    "admin/password-reset/": 404,
    "admin/password-reset/sent/": 404,
    "admin/password-reset/done/": 404,
    "admin/password-reset/<uidb64>/<token>/": 404,
}

PARAMETERS = {
    "<str:student_id>": "<student>",
    "<str:course_id>": "<course>",
    "<str:term_id>": "<term>",
    "<str:grade_id>": "<grade>",
    "holds/<id:pk>": "holds/<hold>",
    "enrollments/<id:pk>": "enrollments/<enrollment>",
    "imports/<id:pk>": "imports/<import>",
    "webhooks/<id:pk>": "webhooks/<webhook>",
    "<slug:code>": "<code>",
}
API = "api/v1/"
ONEROSTER = "ims/oneroster/"  # tests/oneroster/test_access.py has its roles


def routes(resolver=None, prefix=""):
    """Yield each route outside the admin with its methods."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if route != "admin/":
                yield from routes(pattern, route)
        elif isinstance(pattern, URLPattern):
            for spelled, named in PARAMETERS.items():
                route = route.replace(spelled, named)
            view = getattr(pattern.callback, "cls", None)
            methods = getattr(pattern.callback, "actions", None) or [
                name for name in getattr(view, "http_method_names", ()) if hasattr(view, name)
            ]
            yield route, {method.upper() for method in methods} - {"HEAD", "OPTIONS"}


def test_the_table_has_every_method_of_every_route_and_no_other():
    found = {(route, method) for route, methods in routes() for method in methods if route.startswith(API)}
    others = {route for route, _methods in routes() if not route.startswith((API, ONEROSTER))}

    assert {(API + route, method) for route, method, *_expected in TABLE} == found
    assert len({row[:2] for row in TABLE}) == len(TABLE)
    assert set(OPEN) == others


def test_every_route_of_oneroster_is_an_operation_or_the_discovery_document():
    found = {route for route, _methods in routes() if route.startswith(ONEROSTER)}
    methods = {method for route, methods in routes() if route.startswith(ONEROSTER) for method in methods}

    expected = {
        f"{ONEROSTER}{root}{re.sub(r'{.*?}', '<>', path)}"
        for root in ("v1p1", "rostering/v1p2")
        for path in document()["paths"]
    }
    expected |= {f"{ONEROSTER}rostering/v1p2/discovery/{name}" for name in DISCOVERY_NAMES}
    assert ({re.sub("<.*?>", "<>", route) for route in found}, methods) == (expected, {"GET"})


def bearer(client, scopes):
    """Return a client with a token like those of the endpoint, but without the slow hashing of secrets."""
    token = get_access_token_model()(
        application=client, scope=" ".join(scopes), expires=timezone.now() + timedelta(hours=1)
    )
    raw = "-".join(["token", str(client.pk), *scopes])
    set_token_value(token, raw)
    token.save()
    return caller(HTTP_AUTHORIZATION=f"Bearer {raw}")


def caller(user=None, **credentials):
    client = APIClient(raise_request_exception=False)
    if user:
        client.force_login(user)
    client.credentials(**credentials)
    return client


def client_named(name, **limits):
    keys = create_api_client(name, " ".join(settings.SCOPES), **limits)
    return ApiClient.objects.get(client_id=keys.client_id)


class World:
    """A term with a course, a student in it, and an import of them: an object for every route."""

    def __init__(self, name, sender, actor):
        self.name = name
        self.term = make_term(code=f"{name}-T")
        self.grade = make_grade(code=f"{name}-G")
        self.course = make_course(code=f"{name}-C", term=self.term)
        self.student = make_student(student_number=f"{name}-S", email="")
        outcome = enroll(student_id=self.student.pk, course_id=self.course.pk, actor=actor)
        self.enrollment = outcome.enrollment
        self.hold = make_hold(self.student, f"{name}-H")
        self.file = f"student_number,course_code,term\n{name}-S,{name}-C,{name}-T\n".encode()
        order = ImportRequest(
            "enrollments",
            ImportChannel.API,
            "",
            file_name=f"{name}.csv",
            dataset=name,
            options={"term": self.term.code},
            actor=sender,
            client=sender if ApiClient.objects.filter(user=sender).exists() else None,
        )
        self.file_import = submit(BytesIO(self.file), order)
        client = ApiClient.objects.filter(user=sender).first()
        self.webhook = Endpoint(url=f"https://school.example/{name}", kinds=["enrollments"], client=client)
        register(self.webhook)

    def address(self, route):
        for name in ("student", "course", "term", "grade", "enrollment", "hold", "webhook"):
            route = route.replace(f"<{name}>", str(getattr(self, name).pk))
        return f"/{API}{route.replace('<import>', str(self.file_import.pk))}"

    def body(self, route, method):
        """Return a valid body for the route."""
        student = {"student_number": "NEW", "given_name": "Ada", "family_name": "Byron"}
        course = {"code": "NEW", "name": "New", "level": "introductory", "term": self.term.code}
        term = {"code": "NEW", "name": "New", "starts_on": "2026-09-01", "ends_on": "2027-01-31"}
        pair = {"student_id": self.student.pk, "course_id": self.course.pk}
        bodies = {
            "students": student,
            "students/<student>": student | {"student_number": self.student.student_number},
            "students/<student>/courses": {"course_id": self.course.pk},
            "students/<student>/courses/<course>": {"status": "completed"},
            "students/<student>/holds": {"code": "NEW"},
            "courses": course,
            "courses/<course>": course | {"code": self.course.code},
            "courses/<course>/cancel": {"reason": "Too few students"},
            "terms": term,
            "grades": {"code": "NEW"},
            "terms/<term>": term | {"code": self.term.code},
            "students/batch": {"items": [student]},
            "courses/batch": {"items": [course]},
            "terms/batch": {"items": [term | {"code": self.term.code}]},
            "webhooks": {"url": "https://new.example/", "kinds": ["enrollments"], "courses": [self.course.pk]},
            "webhooks/<webhook>/replay": {"after": ""},
            "enrollments/batch": {"items": [{"action": "enroll", **pair}, {"action": "drop", **pair}]},
        }
        return {} if method in ("GET", "DELETE") else bodies.get(route, {})

    def ask(self, client, route, method):
        address = self.address(route)
        if (route, method) == ("imports", "POST"):
            query = f"?kind=enrollments&mode=full&scope=term:{self.term.code}&dataset=another-{self.name}"
            return client.post(address + query, self.file, content_type="text/csv")
        if (route, method) == ("enrollments", "GET"):
            address += "?status=all"
        return getattr(client, method.lower())(address, self.body(route, method))


@pytest.fixture
def own_and_foreign(actor, registrar):
    limited = client_named("limited")
    own, foreign = World("OWN", limited.user, actor), World("FOREIGN", registrar, actor)
    limited.terms.set([own.term])
    limited.is_limited = True
    limited.save()
    return limited, own, foreign


def without_a_trace(ask):
    """Send a request and roll back its changes, so that each role finds the same data."""
    with transaction.atomic():
        answer = ask()
        text = b"".join(answer) if answer.streaming else answer.content
        transaction.set_rollback(True)
    if text and answer.headers.get("Content-Type") == "application/zip":
        with ZipFile(BytesIO(text)) as archive:
            text = b"".join(archive.read(name) for name in archive.namelist())
    return answer.status_code, text.decode()


@pytest.mark.parametrize(("route", "method", "scope", "granted", "viewing", "own", "foreign"), TABLE)
def test_each_role_gets_the_response_of_the_table(
    own_and_foreign, registrar, viewer, route, method, scope, granted, viewing, own, foreign
):
    limited, *worlds = own_and_foreign
    program = client_named("program")
    # A client sees its own imports and webhooks.
    to_program = 404 if "<import>" in route or "<webhook>" in route else granted
    to_registrar = 403 if route.startswith("webhooks") else granted  # these are for administrators
    roles = {
        "stranger": (caller(), 401),
        "staff without a permission": (caller(User.objects.create_user("newcomer", is_staff=True)), 403),
        "viewer": (caller(viewer), viewing),
        "registrar": (caller(registrar), to_registrar),
        "administrator": (caller(User.objects.create_superuser("root")), granted),
        "no scope": (bearer(program, []), 403),
        **{each: (bearer(program, [each]), to_program if each == scope else 403) for each in settings.SCOPES},
        "every scope": (bearer(program, settings.SCOPES), to_program),
    }
    expected = {(role, world.name): status for role, (_caller, status) in roles.items() for world in worlds}
    expected |= {("limited", "OWN"): own, ("limited", "FOREIGN"): 200 if foreign == ABSENT else foreign}
    callers = {role: client for role, (client, _status) in roles.items()}
    callers["limited"] = bearer(limited, settings.SCOPES)

    answers = {
        (role, world.name): without_a_trace(lambda: world.ask(client, route, method))  # noqa: B023  # called immediately
        for role, client in callers.items()
        for world in worlds
    }

    assert {key: status for key, (status, _text) in answers.items()} == expected
    if foreign == ABSENT:
        _status, text = answers["limited", "OWN"]
        _status, all_of_it = answers["administrator", "OWN"]
        assert ["OWN" in text, "FOREIGN" in text, "FOREIGN" in all_of_it] == [True, False, True]


@pytest.mark.parametrize("route", sorted({row[0] for row in TABLE}))
def test_head_and_options_reveal_nothing_that_get_denies(own_and_foreign, route):
    limited, own, foreign = own_and_foreign
    reads = {row[2]: row for row in TABLE if row[:2] == (route, "GET")}
    callers = [caller(), bearer(client_named("program"), []), bearer(limited, settings.SCOPES)]

    def statuses(client, world, method):
        return without_a_trace(lambda: getattr(client, method)(world.address(route)))[0]

    for client in callers:
        for world in (own, foreign):
            if reads:
                assert statuses(client, world, "head") == statuses(client, world, "get")
    assert [statuses(client, own, "options") for client in callers[:2]] == [401, 403]


@pytest.mark.django_db(transaction=True)  # as in production no transaction is open, so no row could be locked
def test_options_answers_an_authorized_client_without_reading_the_row():
    client = bearer(client_named("program"), settings.SCOPES)
    there = {"student": make_student().pk, "course": make_course().pk, "term": make_term().pk}
    paths = [f"/{API}{name}s/{pk}" for name, pk in there.items()]

    assert [(client.options(path).status_code, sorted(client.options(path).json())) for path in paths] == [
        (200, ["name", "parses", "renders"])
    ] * 3


@pytest.mark.parametrize(("route", "status"), OPEN.items())
def test_public_routes_answer_without_authentication(client, route, status):
    assert client.get(f"/{route.replace('<code>', 'course_full')}").status_code == status
