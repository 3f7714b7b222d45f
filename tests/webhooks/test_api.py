"""Programs register webhooks, see only their own, and get the secret once."""

import pytest
from django.contrib.auth.models import User

from courses.api_client_creation import create_api_client
from school.models import ApiClient, KeptAnswer
from tests.support.clients import api_client
from tests.support.factories import make_course, make_term
from tests.support.receiver import receiving
from webhooks.models import Endpoint, EndpointState
from webhooks.signing_secrets import decrypt

URL = "/api/v1/webhooks"
BODY = {"url": "https://hooks.example/school", "kinds": ["enrollments"], "description": "Learning platform"}


@pytest.fixture
def program(make_client):
    return make_client("webhooks:write", "changes:read", "students:read")


@pytest.fixture
def registered(program):
    return program.post(URL, BODY).json()


def test_a_webhook_is_registered_and_its_secret_is_shown_once(program):
    answer = program.post(URL, BODY)

    created = answer.json()
    assert answer.status_code == 201
    assert answer["Location"] == f"http://testserver{URL}/{created['id']}"
    endpoint = Endpoint.objects.get()
    secret = created.pop("secret")
    assert (decrypt(endpoint.secret), secret in endpoint.secret) == (secret, False)
    assert {name: created[name] for name in (*BODY, "courses", "state", "attempts")} == {
        **BODY,
        "courses": [],
        "state": "active",
        "attempts": 0,
    }
    read = program.get(answer["Location"])
    assert (read.json(), read["ETag"]) == (created, answer["ETag"])
    assert program.get(URL).json()["results"] == [created]


def test_the_secret_is_in_no_other_answer_and_not_in_stored_answers(program):
    secret = program.post(URL, BODY, headers={"Idempotency-Key": "k1"}).json()["secret"]
    pk = Endpoint.objects.get().pk

    for answer in (program.get(URL), program.get(f"{URL}/{pk}"), program.patch(f"{URL}/{pk}", {"description": "x"})):
        assert secret not in answer.content.decode()
    assert KeptAnswer.objects.count() == 0


@pytest.mark.parametrize(
    ("values", "field", "code"),
    [
        ({"url": "http://169.254.169.254/"}, "url", "address_refused"),
        ({"url": "https://169.254.169.254/latest"}, "url", "address_refused"),
        ({"url": "https://localhost/"}, "url", "address_refused"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url", "address_refused"),
        ({"url": "https://user:pass@hooks.example/"}, "url", "has_credentials"),
        ({"url": "https://hooks.example/#part"}, "url", "has_fragment"),
        ({"url": "gopher://hooks.example/"}, "url", "invalid_scheme"),
        ({"url": "https://hooks.example/" + "x" * 5_000}, "url", "max_length"),
        ({"url": ""}, "url", "blank"),
        ({"url": 7}, "url", "invalid"),
        ({"url": None}, "url", "null"),
        ({"kinds": ["enrollments", "people"]}, "kinds.1", "invalid_choice"),
        ({"kinds": []}, "kinds", "min_length"),
        ({"kinds": "enrollments"}, "kinds", "not_a_list"),
        ({"kinds": ["enrollments"] * 21}, "kinds", "max_length"),
        ({"courses": [1]}, "courses", "course_not_found"),
        ({"courses": ["1"]}, "courses.0", "invalid"),
        ({"courses": [True]}, "courses.0", "invalid"),
        ({"courses": [2**70]}, "courses.0", "max_value"),
        ({"courses": [1] * 1_001}, "courses", "max_length"),
        ({"description": "x" * 201}, "description", "max_length"),
        ({"state": "stopped"}, "state", "invalid_choice"),
        ({"secret": "whsec_mine"}, "secret", "unknown_field"),
    ],
)
def test_bad_input_is_refused_with_the_field(program, settings, values, field, code):
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    before = program.post(URL, BODY).json()

    for answer in (program.post(URL, {**BODY, **values}), program.patch(f"{URL}/{before['id']}", values)):
        assert answer.status_code == 400
        assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert Endpoint.objects.count() == 1


def test_http_needs_the_setting(program, settings):
    settings.WEBHOOK_HTTP = False

    answer = program.post(URL, {**BODY, "url": "http://hooks.example/"})

    assert [error["code"] for error in answer.json()["errors"]] == ["invalid_scheme"]


@pytest.mark.parametrize("missing", ["webhooks:write", "changes:read"])
def test_each_scope_is_needed(make_client, missing):
    scopes = {"webhooks:write", "changes:read"} - {missing}

    answer = make_client(*scopes).post(URL, BODY)

    assert (answer.status_code, answer.json()["missing_scope"]) == (403, missing)


def test_a_client_sees_only_its_own_webhooks(program, make_client, registered):
    other = make_client("webhooks:write", "changes:read")
    path = f"{URL}/{registered['id']}"

    assert other.get(URL).json()["results"] == []
    assert [
        other.get(path).status_code,
        other.patch(path, {"description": "mine"}).status_code,
        other.delete(path).status_code,
        other.get(f"{path}/attempts").status_code,
        *(other.post(f"{path}/{action}", {"after": ""}).status_code for action in ("rotate", "ping", "replay")),
    ] == [404] * 7
    assert Endpoint.objects.get().description == BODY["description"]


def test_staff_see_all_webhooks_and_register_their_own(registered, client):
    client.force_login(User.objects.create_superuser("admin"))

    created = client.post(URL, BODY, content_type="application/json").json()

    assert [each["id"] for each in client.get(URL).json()["results"]] == [registered["id"], created["id"]]
    assert Endpoint.objects.get(pk=created["id"]).client is None


def test_staff_without_permission_see_none(registered, registrar_client):
    assert [
        registrar_client.get(URL).status_code,
        registrar_client.post(URL, BODY, content_type="application/json").status_code,
        registrar_client.get(f"{URL}/{registered['id']}/attempts").status_code,
    ] == [403] * 3


def test_a_change_needs_the_current_etag(program, registered):
    path = f"{URL}/{registered['id']}"
    etag = program.get(path)["ETag"]

    first = program.patch(path, {"description": "One"}, headers={"If-Match": etag})
    second = program.patch(path, {"description": "Two"}, headers={"If-Match": etag})

    assert (first.status_code, second.status_code) == (200, 412)
    assert program.get(path).json() == first.json()


def test_a_webhook_is_paused_and_resumed(program, registered):
    path = f"{URL}/{registered['id']}"

    paused = program.patch(path, {"state": "paused"}).json()
    resumed = program.patch(path, {"state": "active"}).json()

    assert [(each["state"], each["pause_reason"]) for each in (paused, resumed)] == [
        ("paused", "request"),
        ("active", ""),
    ]


def test_a_webhook_can_be_registered_paused(program):
    created = program.post(URL, {**BODY, "state": "paused"}).json()

    assert (created["state"], created["pause_reason"]) == ("paused", "request")


def test_a_deleted_webhook_is_gone_with_its_attempts(program, registered):
    path = f"{URL}/{registered['id']}"

    assert program.delete(path).status_code == 204
    assert program.get(path).status_code == 404
    assert Endpoint.objects.count() == 0


def test_a_rotation_keeps_the_previous_secret(program, registered):
    secret = program.post(f"{URL}/{registered['id']}/rotate").json()["secret"]

    endpoint = Endpoint.objects.get()
    assert decrypt(endpoint.secret) == secret
    assert decrypt(endpoint.previous_secret) == registered["secret"] != secret


def test_a_replay_needs_a_cursor_of_the_feed(program, registered):
    path = f"{URL}/{registered['id']}/replay"

    refused = [program.post(path, body) for body in ({"after": "abc"}, {"after": "x" * 501}, {"after": 5}, {})]

    assert [answer.status_code for answer in refused] == [400] * 4
    assert [answer.json()["errors"][0]["code"] for answer in refused] == [
        *("invalid_cursor", "max_length", "invalid", "required")
    ]
    assert Endpoint.objects.get().requested_positions is None


def test_a_ping_is_requested(program, registered):
    answer = program.post(f"{URL}/{registered['id']}/ping")

    assert answer.status_code == 202
    assert Endpoint.objects.get().requested_ping == answer.json()["message_id"]


def test_a_limited_client_cannot_name_courses_of_others(db):
    own, other = make_course(term=make_term()), make_course(term=make_term())
    keys = create_api_client("limited", "webhooks:write changes:read")
    account = ApiClient.objects.get(client_id=keys.client_id)
    account.is_limited = True
    account.save()
    account.courses.add(own)
    limited = api_client(keys)

    answers = [limited.post(URL, {**BODY, "courses": [course.pk]}) for course in (own, other)]

    assert [answer.status_code for answer in answers] == [201, 400]
    assert answers[1].json()["errors"][0]["code"] == "course_not_found"


def test_attempts_are_listed_with_the_newest_first(program, deliver, enroll_students):
    with receiving() as receiver:
        path = f"{URL}/{program.post(URL, {**BODY, 'url': receiver.url}).json()['id']}"
        enroll_students(2)
        deliver()

    listed = program.get(f"{path}/attempts").json()["results"]

    assert [(each["message_id"], each["outcome"], each["status"]) for each in listed] == [
        (message_id, "delivered", 200) for message_id in reversed(receiver.ids)
    ]
    state = program.get(path).json()
    assert (state["state"], state["attempts"], state["last_failure"]) == (EndpointState.ACTIVE, 0, "")
    assert state["delivered_at"] is not None


def test_a_list_costs_the_same_for_many_webhooks(program, django_assert_max_num_queries):
    for _ in range(3):
        program.post(URL, BODY)
    program.get(URL)

    with django_assert_max_num_queries(2):
        assert len(program.get(URL).json()["results"]) == 3
