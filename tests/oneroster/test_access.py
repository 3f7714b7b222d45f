"""Which client reads what by OneRoster: the scopes of tokens, and clients that are limited to terms or courses."""

from base64 import b64encode

import pytest
from django.test import Client
from rest_framework.test import APIClient

from courses.api_client_creation import create_api_client
from oneroster import sourced_ids
from oneroster.scopes import PREFIX
from school.models import ApiClient
from tests.oneroster.rosters import ROOTS, V1P2, codes, get_list, make_roster, operations
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

CORE, ROSTER, DEMOGRAPHICS = (
    f"{PREFIX}v1p2/scope/{name}.readonly" for name in ("roster-core", "roster", "roster-demographics")
)
OLD = ROSTER.replace("v1p2", "v1p1")
GRADEBOOK = f"{PREFIX}v1p2/scope/gradebook.readonly"


@pytest.fixture
def keys():
    return create_api_client("consumer", "rosters:read courses:read")


def take_token(keys, *, basic=True, **form):
    form = {"grant_type": "client_credentials", **form}
    if not basic:
        return Client().post("/oauth/token", {**form, "client_id": keys.client_id, "client_secret": keys.client_secret})
    credentials = b64encode(f"{keys.client_id}:{keys.client_secret}".encode()).decode()
    return Client().post("/oauth/token", form, HTTP_AUTHORIZATION=f"Basic {credentials}")


def caller(answer):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
    return client


@pytest.mark.parametrize(
    ("form", "scope"),
    [
        ({}, "rosters:read courses:read"),
        ({"scope": "rosters:read"}, "rosters:read"),
        ({"scope": ROSTER}, ROSTER),
        ({"scope": OLD}, OLD),
        ({"scope": f"{CORE} {DEMOGRAPHICS}"}, f"{CORE} {DEMOGRAPHICS}"),
        ({"scope": f"{ROSTER} {GRADEBOOK} unknown"}, ROSTER),
        ({"scope": f"{OLD} courses:read students:read"}, f"{OLD} courses:read"),
    ],
)
@pytest.mark.parametrize("basic", [True, False])
def test_tokens_are_given_for_the_scopes_of_the_standard(keys, form, scope, basic):
    answer = take_token(keys, basic=basic, **form)

    assert (answer.status_code, answer.json()["expires_in"], answer.json()["token_type"]) == (200, 3600, "Bearer")
    assert answer.json()["scope"].split() == scope.split()


@pytest.mark.parametrize("scope", [GRADEBOOK, "unknown", f"rosters:read {GRADEBOOK}x unknown", "rosters:read unknown"])
def test_unknown_scopes_alone_are_refused(keys, scope):
    expected = (200, None) if scope.startswith(f"rosters:read {PREFIX}") else (400, "invalid_scope")
    answer = take_token(keys, scope=scope)

    assert (answer.status_code, answer.json().get("error")) == expected


def test_a_client_without_our_scope_gets_none_of_the_standard():
    answer = take_token(create_api_client("other", "students:read"), scope=ROSTER)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_each_scope_allows_its_operations(keys, actor):
    """The scopes of each operation are those of the document; our own scope allows all of them."""
    roster = make_roster(actor)
    for scope in (CORE, ROSTER, DEMOGRAPHICS, OLD, "rosters:read", "courses:read"):
        client = caller(take_token(keys, scope=scope))
        standard = scope.replace("v1p1", "v1p2")
        for path, operation in operations():
            [security] = operation["security"]
            is_allowed = scope == "rosters:read" or standard in security["OAuth2CC"]
            answer = client.get(V1P2 + roster.path(path))
            assert (scope, path, answer.status_code == 403) == (scope, path, not is_allowed)


def test_a_token_loses_the_scopes_that_its_client_loses(keys, settings):
    settings.TOKEN_CACHE_SECONDS = 0
    client = caller(take_token(keys, scope=ROSTER))
    assert client.get(f"{V1P2}/orgs").status_code == 200
    ApiClient.objects.update(scope="courses:read")

    assert codes(client.get(f"{V1P2}/orgs")) == (403, "forbidden")


@pytest.fixture
def worlds(actor):
    """Two schools' worth of data in one: what belongs to the client's term, and what does not."""
    own, foreign = make_roster(actor, "own"), make_roster(actor, "foreign", starts_on="2026-08-01")
    make_student()
    make_course()
    return own, foreign


@pytest.fixture(params=["terms", "courses"])
def limited(request, worlds):
    own, _foreign = worlds
    limits = {"terms": [own.term.code]} if request.param == "terms" else {"courses": [own.course.full_code]}
    return caller(take_token(create_api_client("limited", "rosters:read", **limits)))


def own_ids(roster):
    """Return the ids of all that belongs to the roster of a limited client."""
    people = [sourced_ids.student_id(each.pk) for each in (roster.student, roster.left, roster.completed)]
    people.append(sourced_ids.account_id(roster.teacher.pk))
    clazz = sourced_ids.class_id(roster.course.pk)
    others = [sourced_ids.org_id(), clazz, sourced_ids.course_code_id(roster.course.code)]
    sessions = [function(roster.term.pk) for function in (sourced_ids.term_id, sourced_ids.grading_period_id)]
    enrollments = [sourced_ids.enrollment_id(person, clazz) for person in people]
    return {str(each) for each in (*people, *others, *sessions, *enrollments, sourced_ids.school_year_id("2026"))}


def test_a_limited_client_sees_only_what_belongs_to_its_terms_and_courses(limited, worlds):
    own, foreign = worlds
    seen = set()
    for root in ROOTS.values():
        for path, _operation in operations():
            if path == "/demographics/{sourcedId}":
                continue
            answer = limited.get(root + own.path(path))
            assert (path, answer.status_code) == (path, 200)
            [content] = answer.json().values()
            if isinstance(content, list):
                assert answer.headers["X-Total-Count"] == str(len(content))
            seen |= {each["sourcedId"] for each in (content if isinstance(content, list) else [content])}
            text = answer.content.decode()
            assert [word for word in ("foreign", str(sourced_ids.term_id(foreign.term.pk))) if word in text] == []

    assert seen == own_ids(own)


def test_objects_outside_the_limits_are_404_for_a_limited_client(limited, worlds):
    _own, foreign = worlds
    for path, _operation in operations():
        is_of_school = path.startswith(("/orgs", "/schools")) and "classSourcedId" not in path
        if "{" not in path or is_of_school or path.startswith("/demographics"):
            continue
        assert (path, codes(limited.get(V1P2 + foreign.path(path)))) == (path, (404, "unknownobject"))
        if path.count("/") > 2:
            assert get_list(limited, ROOTS["1.1"] + foreign.path(path)) == []


def test_filters_find_nothing_outside_the_limits(limited, worlds):
    _own, foreign = worlds
    for text in (f"username='{foreign.teacher.username}'", "username~'foreign'"):
        assert get_list(limited, f"{V1P2}/users", filter=text) == []


def test_a_school_year_shows_a_limited_client_its_own_terms(limited, worlds, actor):
    own, _foreign = worlds
    make_roster(actor, "sibling")
    [year] = get_list(limited, f"{V1P2}/academicSessions", filter="type='schoolYear'")

    assert [each["sourcedId"] for each in year["children"]] == [own.single("terms")]


def test_a_client_with_empty_limits_sees_only_the_school(keys, worlds):
    ApiClient.objects.update(is_limited=True)
    client = caller(take_token(keys))
    counts = {
        path: client.get(V1P2 + path).headers["X-Total-Count"] for path, _operation in operations() if "{" not in path
    }

    assert {path for path, count in counts.items() if count != "0"} == {"/orgs", "/schools"}
