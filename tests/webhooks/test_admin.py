"""The admin shows the state of webhooks, and users with the permission pause, resume, replay and rotate them."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone
from standardwebhooks import Webhook

from students.admin.widgets import MAX_PICKED
from students.events.feed import cursor_of
from students.models import EnrollmentEvent
from tests.support.factories import make_course
from tests.support.receiver import receiving, status
from webhooks.models import Attempt, Endpoint, EndpointState, PauseReason
from webhooks.signing_secrets import decrypt

LIST = "/admin/webhooks/endpoint/"
ATTEMPTS = "/admin/webhooks/attempt/"
ACTIONS = ("pause", "resume", "ping", "rotate")


@pytest.fixture
def endpoint(db):
    with receiving() as receiver:
        pass
    return Endpoint.objects.create(url=receiver.url, kinds=["enrollments"], description="Learning platform")


@pytest.fixture
def staff_client(client):
    """Return the client of a member of the staff with these permissions."""

    def log_in(*codenames):
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return log_in


def page_of(client, endpoint):
    return client.get(f"{LIST}{endpoint.pk}/change/").content.decode()


def act(client, endpoint, action, **values):
    return client.post(f"{LIST}{endpoint.pk}/{action}/", values)


def text_of(html):
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def cells_of(client, path):
    """Return the texts of the cells of each row in a list."""
    rows = re.findall(r'<tr[^>]*class="[^"]*"[^>]*>.*?</tr>', client.get(path).content.decode(), re.DOTALL)
    cells = [[text_of(cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)] for row in rows]
    return [row for row in cells if len(row) > 1]


def test_a_registration_shows_the_secret_once(admin_client):
    answer = admin_client.post(
        f"{LIST}add/", {"url": "http://127.0.0.1:9/hook", "kinds": ["enrollments", "terms"], "description": "Catering"}
    )

    [endpoint] = Endpoint.objects.all()
    secret = decrypt(endpoint.secret)
    assert (answer.status_code, secret in answer.content.decode()) == (200, True)
    assert (endpoint.kinds, endpoint.client, endpoint.state) == (["enrollments", "terms"], None, "active")
    assert sorted(endpoint.positions) == ["enrollments", "terms"]
    assert [secret in admin_client.get(path).content.decode() for path in (LIST, f"{LIST}{endpoint.pk}/change/")] == [
        False,
        False,
    ]


def test_a_change_saves_the_fields_of_the_form_and_keeps_the_rest(admin_client, endpoint):
    course = make_course()
    Endpoint.objects.update(positions={"enrollments": [7, "x"]}, secret="stored", attempts=2)

    admin_client.post(
        f"{LIST}{endpoint.pk}/change/",
        {"url": endpoint.url, "kinds": ["enrollments"], "courses": [course.pk], "description": "Catering"},
    )

    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.courses) == ("Catering", [course.pk])
    assert (endpoint.positions, endpoint.secret, endpoint.attempts) == ({"enrollments": [7, "x"]}, "stored", 2)


def test_a_change_that_another_user_has_made_meanwhile_is_shown(admin_client, endpoint):
    course = make_course(code="MATH-101")
    page = f"{LIST}{endpoint.pk}/change/"
    read = admin_client.get(page).context["adminform"].form.as_read
    Endpoint.objects.update(kinds=["enrollments", "students"], courses=[course.pk])

    answer = admin_client.post(
        page, {"url": endpoint.url, "kinds": endpoint.kinds, "description": "Mine", "as_read": read}
    )

    errors = answer.context["adminform"].form.non_field_errors().data
    assert [error.message for error in errors[1:]] == [
        "Kinds is now: Enrollments, Students",
        f"Courses is now: {course}",
    ]


def test_more_courses_than_the_form_can_show_are_kept(admin_client, endpoint):
    ids = [make_course().pk for _ in range(MAX_PICKED + 1)]
    form = {"url": endpoint.url, "kinds": endpoint.kinds, "description": "Mine"}

    answer = admin_client.post(f"{LIST}{endpoint.pk}/change/", {**form, "courses": ids})
    Endpoint.objects.update(courses=ids)
    saved = admin_client.post(f"{LIST}{endpoint.pk}/change/", form)

    assert answer.context["adminform"].form.errors == {"courses": ["Select at most 20. The API accepts more."]}
    endpoint.refresh_from_db()
    assert (saved.status_code, endpoint.courses, endpoint.description) == (302, ids, "Mine")


def test_a_refused_address_is_an_error_of_the_form(admin_client, settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = []

    answer = admin_client.post(f"{LIST}add/", {"url": "http://127.0.0.1/hook", "kinds": ["enrollments"]})

    assert answer.context["adminform"].form.errors == {"url": ["Webhooks to this address are not allowed."]}
    assert Endpoint.objects.count() == 0


def test_the_page_and_the_list_show_state_lag_and_failure(admin_client, endpoint_of, deliver, enroll_students):
    with receiving(lambda *_: status(500)) as receiver:
        endpoint = endpoint_of(receiver, description="Learning platform")
        enroll_students(1)
        deliver(endpoint)

    shown = {name: text for name, text in readonly_fields(admin_client, endpoint).items() if name != "client"}
    [row] = cells_of(admin_client, LIST)

    assert (shown["attempts"], shown["last_failure"], shown["delivered_at"]) == ("1", "the answer is no 2xx", "-")
    assert shown["shown_state"] == "active"
    assert ("Learning platform" in row, "the answer is no 2xx" in row, "active" in row) == (True, True, True)


def readonly_fields(client, endpoint):
    """Return the texts of the fields that are only shown, by name."""
    form = client.get(f"{LIST}{endpoint.pk}/change/").context["adminform"]
    return {
        field.field["name"]: text_of(str(field.contents()))
        for fieldset in form
        for line in fieldset
        for field in line
        if field.is_readonly
    }


def test_the_lag_is_the_age_of_the_oldest_change_that_was_not_delivered(
    admin_client, endpoint_of, deliver, enroll_students, monkeypatch
):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        at = EnrollmentEvent.objects.get().at
        with monkeypatch.context() as patch:
            patch.setattr("webhooks.outbox.timezone.now", lambda: at + timedelta(seconds=90))
            waiting = readonly_fields(admin_client, endpoint)["lag"]
        deliver(endpoint)

    assert (waiting, readonly_fields(admin_client, endpoint)["lag"]) == ("90 s", "-")


def test_the_attempts_are_listed_with_their_outcome_and_cannot_be_changed(
    admin_client, endpoint_of, deliver, enroll_students
):
    answers = iter([status(204), status(503)])
    with receiving(lambda *_: next(answers)) as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(2)
        deliver(endpoint)

    rows = cells_of(admin_client, f"{ATTEMPTS}?endpoint__id__exact={endpoint.pk}")
    attempts = list(Attempt.objects.order_by("-pk"))

    assert [(each.message_id in row, str(each.status) in row) for each, row in zip(attempts, rows, strict=True)] == [
        (True, True)
    ] * 2
    assert ["the answer is no 2xx" in rows[0], "delivered" in rows[1]] == [True, True]
    assert [
        admin_client.get(f"{ATTEMPTS}add/").status_code,
        admin_client.post(f"{ATTEMPTS}{attempts[0].pk}/change/", {"status": 1}).status_code,
        admin_client.post(f"{ATTEMPTS}{attempts[0].pk}/delete/", {"post": "yes"}).status_code,
    ] == [403] * 3


def test_pause_and_resume_change_the_state_and_the_button(admin_client, endpoint):
    buttons = []
    for action in ("pause", "resume"):
        answer = act(admin_client, endpoint, action)
        endpoint.refresh_from_db()
        html = page_of(admin_client, endpoint)
        buttons.append((answer.status_code, endpoint.state, [name for name in ACTIONS if f"/{name}/" in html]))

    assert buttons == [
        (302, "paused", ["resume", "ping", "rotate"]),
        (302, "active", ["pause", "ping", "rotate"]),
    ]


def test_a_ping_is_requested(admin_client, endpoint):
    act(admin_client, endpoint, "ping")

    endpoint.refresh_from_db()
    assert endpoint.requested_ping.startswith("ping_")


def test_a_rotation_shows_the_new_secret_and_keeps_the_previous_one(admin_client, endpoint_of):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)

    html = act(admin_client, endpoint, "rotate").content.decode()

    endpoint.refresh_from_db()
    secret, previous = decrypt(endpoint.secret), decrypt(endpoint.previous_secret)
    assert (secret in html, previous in html, previous) == (True, False, endpoint.plain_secret)
    assert Webhook(secret)
    assert secret not in page_of(admin_client, endpoint)


def test_a_replay_delivers_again_what_follows_the_cursor(admin_client, endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(3)
        deliver()
        cursor = cursor_of(EnrollmentEvent.objects.order_by("pk")[1])

        refused = act(admin_client, endpoint, "replay", after="nonsense")
        answer = act(admin_client, endpoint, "replay", after=cursor)
        deliver()

    assert (refused.status_code, list(refused.context["form"].errors)) == (200, ["after"])
    assert answer.status_code == 302
    assert receiver.ids == [*receiver.ids[:3], receiver.ids[2]]


def test_a_view_permission_shows_the_pages_without_the_actions(staff_client, endpoint):
    client = staff_client("view_endpoint", "view_attempt")

    html = page_of(client, endpoint)

    assert [client.get(path).status_code for path in (LIST, ATTEMPTS)] == [200, 200]
    assert [name for name in (*ACTIONS, "replay") if f"/{endpoint.pk}/{name}/" in html] == []
    assert [act(client, endpoint, name, after="").status_code for name in (*ACTIONS, "replay")] == [403] * 5
    assert client.post(f"{LIST}{endpoint.pk}/change/", {"description": "Mine"}).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403
    endpoint.refresh_from_db()
    assert (endpoint.state, endpoint.requested_ping, endpoint.secret, endpoint.description) == (
        "active",
        "",
        "",
        "Learning platform",
    )


def test_staff_without_permission_see_nothing(staff_client, endpoint):
    client = staff_client()
    Endpoint.objects.update(state=EndpointState.PAUSED, pause_reason=PauseReason.FAILURES)

    paths = (LIST, f"{LIST}{endpoint.pk}/change/", ATTEMPTS)
    assert [client.get(path).status_code for path in paths] == [403] * 3
    assert [act(client, endpoint, name, after="").status_code for name in (*ACTIONS, "replay")] == [403] * 5


def test_actions_need_a_post_and_an_endpoint_that_exists(admin_client, endpoint):
    assert [admin_client.get(f"{LIST}{endpoint.pk}/{name}/").status_code for name in ACTIONS] == [405] * 4
    endpoint.delete()
    assert [act(admin_client, Endpoint(pk=99), name, after="").status_code for name in (*ACTIONS, "replay")] == [
        404
    ] * 5


@pytest.mark.parametrize("reason", PauseReason)
def test_the_home_page_alerts_about_webhooks_that_nobody_has_paused(admin_client, endpoint, reason):
    Endpoint.objects.update(state=EndpointState.PAUSED, pause_reason=reason, failed_at=timezone.now())

    alerts = admin_client.get("/admin/").context["dashboard"]["urgent"]

    cards = [(card.number, str(card.label)) for card in alerts]
    expected = [] if reason == PauseReason.REQUEST else [(1, "webhook is paused after failures")]
    assert cards == expected
    for card in alerts:
        assert admin_client.get(card.link).context["cl"].result_count == 1


def test_the_home_page_of_registrars_has_no_alert_about_webhooks(registrar_client, endpoint):
    Endpoint.objects.update(state=EndpointState.PAUSED, pause_reason=PauseReason.FAILURES)

    assert registrar_client.get("/admin/").context["dashboard"]["urgent"] == []
