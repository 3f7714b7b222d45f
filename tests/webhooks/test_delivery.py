"""Messages arrive in order, at least once, signed, and are tried again after failures."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from standardwebhooks import Webhook

from courses.api_client_creation import create_api_client
from school.models import ApiClient
from students.enrollment import complete, drop, enroll
from students.enrollment.commands import OnFull
from students.events.feed import cursor_of
from students.models import EnrollmentEvent
from tests.support.factories import CANARY, make_course, make_student, make_term
from tests.support.receiver import OK, receiving, status
from webhooks.delivery import dispatcher, endpoint_run
from webhooks.delivery.endpoint_run import EndpointRun, LeaseLost, claim
from webhooks.delivery.retry_schedule import DELAYS, MAX_ATTEMPTS, delay_after
from webhooks.endpoints import change, pause, ping, replay, resume, rotate
from webhooks.models import Attempt, AttemptCount, Endpoint, EndpointState, Outcome, PauseReason
from webhooks.outbox import read_messages

FEED = "/api/v1/changes"
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)


def client_of(*scopes, **values):
    keys = create_api_client("program", " ".join(scopes))
    account = ApiClient.objects.get(client_id=keys.client_id)
    for name, value in values.items():
        setattr(account, name, value)
    account.save()
    return account


def ids_in_journal():
    return list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))


def delivered(receiver):
    return [message["data"]["id"] for message in receiver.messages]


def test_every_change_arrives_in_order_as_the_feed_has_it(api, actor, endpoint_of, deliver):
    course = make_course(capacity=1, waitlist_capacity=1)
    first, second = make_student(), make_student()
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        for student in (first, second):
            enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
        drop(student_id=first.pk, course_id=course.pk, actor=actor)
        complete(student_id=second.pk, course_id=course.pk, grade="A", actor=actor)
        complete(student_id=second.pk, course_id=course.pk, grade="B", actor=actor)
        deliver(endpoint)

    lines = api.get(FEED, {"kinds": "enrollments"}).json()["results"]
    assert [message["type"] for message in receiver.messages] == [
        "enrollment.created",
        "enrollment.waitlisted",
        "enrollment.dropped",
        "enrollment.promoted",
        "enrollment.completed",
        "enrollment.regraded",
    ]
    assert [(message["data"], message["timestamp"]) for message in receiver.messages] == [
        (line, line["at"]) for line in lines
    ]


def test_only_what_happens_after_the_registration_is_delivered(endpoint_of, deliver, enroll_students):
    enroll_students(2)
    with receiving() as receiver:
        endpoint_of(receiver)
        deliver()
        assert receiver.requests == []
        enroll_students(1)
        deliver()
    assert delivered(receiver) == ids_in_journal()[-1:]


def test_the_request_is_signed_as_standard_webhooks_says(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        deliver()

    [request] = receiver.requests
    assert Webhook(endpoint.plain_secret).verify(request.body, request.headers) == request.message
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["host"], request.path) == (f"127.0.0.1:{receiver.port}", "/hook")


def test_for_a_day_after_a_rotation_both_secrets_verify(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        new_secret = rotate(endpoint.pk)
        enroll_students(1)
        deliver()
        Endpoint.objects.update(previous_secret_until=timezone.now())
        enroll_students(1)
        deliver()

    during, after = receiver.requests
    assert [len(each.headers["webhook-signature"].split()) for each in (during, after)] == [2, 1]
    for secret in (endpoint.plain_secret, new_secret):
        Webhook(secret).verify(during.body, during.headers)
    Webhook(new_secret).verify(after.body, after.headers)


def test_a_failure_keeps_the_message_for_the_next_attempt_with_the_same_id(endpoint_of, deliver, enroll_students):
    answers = iter([OK, status(500), OK, OK])
    with receiving(lambda *_: next(answers)) as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(3)
        deliver(endpoint)
        assert (len(receiver.requests), endpoint.attempts, endpoint.last_failure) == (2, 1, Outcome.STATUS)
        assert timedelta(seconds=4) < endpoint.next_attempt_at - timezone.now() < timedelta(seconds=6)
        deliver(endpoint)
        assert len(receiver.requests) == 2
        Endpoint.objects.update(next_attempt_at=timezone.now())
        deliver(endpoint)

    ids = ids_in_journal()
    assert delivered(receiver) == [ids[0], ids[1], ids[1], ids[2]]
    assert receiver.ids[1] == receiver.ids[2] != receiver.ids[0]
    assert endpoint.attempts == 0
    assert list(Attempt.objects.order_by("pk").values_list("outcome", "status")) == [
        *(("delivered", 200), ("status", 500), ("delivered", 200), ("delivered", 200))
    ]
    assert dict(AttemptCount.objects.values_list("outcome", "number")) == {"delivered": 3, "status": 1}


def test_after_the_last_attempt_the_endpoint_is_paused_and_resuming_goes_on(endpoint_of, deliver, enroll_students):
    with receiving(lambda *_: status(500)) as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(2)
        for _ in range(MAX_ATTEMPTS + 3):
            Endpoint.objects.update(next_attempt_at=timezone.now())
            deliver(endpoint)
        assert len(receiver.requests) == MAX_ATTEMPTS
        assert (endpoint.state, endpoint.pause_reason) == (EndpointState.PAUSED, PauseReason.FAILURES)
        receiver.answer = lambda *_: OK
        receiver.requests.clear()
        resume(endpoint.pk)
        deliver(endpoint)
    assert delivered(receiver) == ids_in_journal()
    assert (endpoint.state, endpoint.pause_reason, endpoint.attempts) == (EndpointState.ACTIVE, "", 0)


def seconds_after(failures, code=500, header=""):
    delay = delay_after(failures, code, header, NOW)
    assert delay is not None
    return delay.total_seconds()


def test_the_schedule_is_that_of_the_documents():
    assert [seconds_after(failures) / DELAYS[failures - 1].total_seconds() for failures in range(1, 10)] == [
        pytest.approx(1, abs=0.1)
    ] * 9
    assert [int(each.total_seconds()) for each in DELAYS] == [
        *(5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
    ]
    assert delay_after(10, 500, "", NOW) is None
    assert len({delay_after(9, 500, "", NOW) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("code", "header", "seconds"),
    [
        (503, "120", 120),
        (429, "120", 120),
        (503, "Tue, 01 Sep 2026 12:10:00 GMT", 600),
        (503, "999999", 3_600),
        (503, "Tue, 01 Sep 2099 12:10:00 GMT", 3_600),
        (500, "120", 5),
        (503, "1", 5),
        (503, "-5", 5),
        (503, "soon", 5),
        (503, "9" * 500, 5),
        (503, "Tue, 01 Sep 1999 12:10:00 GMT", 5),
    ],
)
def test_retry_after_makes_a_delay_longer_up_to_an_hour(code, header, seconds):
    assert seconds_after(1, code, header) == pytest.approx(seconds, rel=0.1)


def test_410_pauses_at_once(endpoint_of, deliver, enroll_students):
    with receiving(lambda *_: status(410)) as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(2)
        deliver(endpoint)
    assert len(receiver.requests) == 1
    assert (endpoint.state, endpoint.pause_reason, endpoint.last_failure) == ("paused", "gone", "status")


def test_a_paused_endpoint_gets_nothing_but_pings(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        pause(endpoint.pk)
        enroll_students(1)
        message_id = ping(endpoint.pk)
        deliver(endpoint)
    assert (receiver.ids, [message["type"] for message in receiver.messages]) == ([message_id], ["ping"])
    assert endpoint.requested_ping == ""


def test_a_ping_does_not_bring_the_next_attempt_forward(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        Endpoint.objects.update(next_attempt_at=timezone.now() + timedelta(hours=1))
        ping(endpoint.pk)
        deliver()
        assert [message["type"] for message in receiver.messages] == ["ping"]


def test_a_replay_delivers_again_with_the_same_ids(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(3)
        deliver(endpoint)
        replay(endpoint, cursor_of(EnrollmentEvent.objects.earliest("pk")))
        deliver(endpoint)
    assert receiver.ids == [*receiver.ids[:3], *receiver.ids[1:3]]
    assert delivered(receiver)[3:] == ids_in_journal()[1:]


def test_a_replay_from_the_beginning(endpoint_of, deliver, enroll_students):
    enroll_students(2)
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        replay(endpoint, "")
        deliver(endpoint)
    assert delivered(receiver) == ids_in_journal()


def test_a_replay_during_a_delivery_is_not_lost(endpoint_of, deliver, enroll_students, monkeypatch):
    first: list[bool] = []
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)

        def answer(*_):
            if not first:
                first.append(True)
                Endpoint.objects.filter(pk=endpoint.pk).update(requested_positions={"enrollments": [0, ""]})
            return OK

        enroll_students(2)
        run = EndpointRun(endpoint.pk, "me", lambda: True)
        assert claim(Endpoint.objects.get(), "me") is True
        send = run.sender.post
        monkeypatch.setattr(run.sender, "post", lambda *arguments: answer() and send(*arguments))
        run.run()
        deliver(endpoint)
    assert delivered(receiver) == ids_in_journal() * 2


def test_pages_and_saves_do_not_change_what_arrives(endpoint_of, deliver, enroll_students, monkeypatch):
    monkeypatch.setattr(endpoint_run, "PAGE", 3)
    monkeypatch.setattr(endpoint_run, "SAVE_INTERVAL", 0)
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(10)
        deliver(endpoint)
    assert delivered(receiver) == ids_in_journal()
    assert endpoint.lease_owner == ""


def test_an_endpoint_with_courses_gets_only_their_changes(endpoint_of, deliver, enroll_students):
    own = make_course()
    with receiving() as receiver:
        endpoint = endpoint_of(receiver, courses=[own.pk])
        enroll_students(2)
        enroll_students(2, own)
        enroll_students(1)
        deliver(endpoint)
    assert [message["data"]["course"]["id"] for message in receiver.messages] == [own.pk] * 2
    assert endpoint.positions["enrollments"][0] == ids_in_journal()[-1]


def test_an_endpoint_whose_courses_are_deleted_gets_nothing(endpoint_of, deliver, enroll_students):
    gone = make_course()
    with receiving() as receiver:
        endpoint = endpoint_of(receiver, courses=[gone.pk])
        gone.delete()
        enroll_students(1)
        deliver(endpoint)
    assert receiver.requests == []


def test_a_limited_client_gets_only_its_own_rows(endpoint_of, deliver, enroll_students):
    own, other = make_course(), make_course()
    account = client_of("webhooks:write", "changes:read", is_limited=True)
    account.courses.add(own)
    with receiving() as receiver:
        endpoint_of(receiver, client=account)
        endpoint_of(receiver, client=account, courses=[own.pk, other.pk])
        enroll_students(1, own)
        enroll_students(1, other)
        deliver()
    assert [message["data"]["course"]["id"] for message in receiver.messages] == [own.pk] * 2


@pytest.mark.parametrize("scopes", [[], ["students:read"]])
@pytest.mark.parametrize("is_limited", [False, True])
def test_names_and_reasons_need_the_scope_to_read_students(actor, endpoint_of, deliver, scopes, is_limited):
    course, student = make_course(), make_student()
    client = client_of("webhooks:write", "changes:read", *scopes, is_limited=is_limited)
    client.courses.add(course)
    with receiving() as receiver:
        endpoint_of(receiver, client=client)
        enroll(student_id=student.pk, course_id=course.pk, actor=actor, reason="Her mother Annabella asked for it.")
        deliver()
    [request] = receiver.requests
    assert (CANARY in request.body.decode(), "Annabella" in request.body.decode()) == (bool(scopes), bool(scopes))
    assert request.message["data"]["student"]["id"] == student.pk
    assert bool(request.message["data"]["reason"]) is bool(scopes)


@pytest.mark.parametrize("loss", ["revoked", "scope", "no account"])
def test_a_client_that_lost_its_access_gets_nothing(endpoint_of, deliver, enroll_students, loss):
    account = client_of("webhooks:write", "changes:read")
    with receiving() as receiver:
        endpoint = endpoint_of(receiver, client=account)
        enroll_students(1)
        if loss == "revoked":
            account.user.is_active = False
            account.user.save()
        elif loss == "scope":
            ApiClient.objects.update(scope="webhooks:write")
        else:
            ApiClient.objects.update(user=None)
        deliver(endpoint)
    assert receiver.requests == []
    assert (endpoint.state, endpoint.pause_reason) == ("paused", "access")


def test_a_secret_that_cannot_be_decrypted_pauses(endpoint_of, deliver, enroll_students, settings):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key-of-fifty-characters-" + "0" * 30, []
        deliver(endpoint)
    assert receiver.requests == []
    assert (endpoint.state, endpoint.pause_reason) == ("paused", "secret")


def test_a_position_that_no_longer_exists_pauses(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        Endpoint.objects.update(positions={"enrollments": [ids_in_journal()[0], "0123456789abcdef"]})
        enroll_students(1)
        deliver(endpoint)
    assert receiver.requests == []
    assert (endpoint.state, endpoint.pause_reason) == ("paused", "cursor_expired")


def test_a_lease_of_another_worker_is_respected_until_it_expires(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        later = timezone.now() + timedelta(seconds=30)
        Endpoint.objects.update(lease_owner="elsewhere:1:token", leased_until=later)
        deliver()
        assert receiver.requests == []
        Endpoint.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        deliver(endpoint)
    assert delivered(receiver) == ids_in_journal()
    assert (endpoint.lease_owner, endpoint.leased_until) == ("", None)


def test_only_one_worker_gets_a_lease(endpoint_of):
    with receiving() as receiver:
        endpoint_of(receiver)
    seen = [Endpoint.objects.get() for _ in range(2)]

    assert [claim(each, f"worker {number}") for number, each in enumerate(seen)] == [True, False]


def test_a_worker_that_lost_its_lease_saves_nothing(endpoint_of, enroll_students, monkeypatch):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(2)
        claim(Endpoint.objects.get(), "me")
        run = EndpointRun(endpoint.pk, "me", lambda: True)
        send = run.sender.post

        def post(*arguments):
            Endpoint.objects.update(lease_owner="another")
            return send(*arguments)

        monkeypatch.setattr(run.sender, "post", post)
        with pytest.raises(LeaseLost):
            run.run()
    endpoint.refresh_from_db()
    assert (endpoint.lease_owner, Attempt.objects.count()) == ("another", 0)


def test_a_process_that_stood_still_sends_nothing(endpoint_of, enroll_students, monkeypatch):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        claim(Endpoint.objects.get(), "me")
        run = EndpointRun(endpoint.pk, "me", lambda: True)
        began = time.monotonic

        def read_after_a_minute(*arguments):
            monkeypatch.setattr(time, "monotonic", lambda: began() + 60)
            return read_messages(*arguments)

        monkeypatch.setattr(endpoint_run, "read_messages", read_after_a_minute)
        with pytest.raises(LeaseLost):
            run.run()
    assert receiver.requests == []


def test_a_worker_that_stops_saves_its_position_and_releases_the_lease(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(5)
        claim(Endpoint.objects.get(), "me")
        EndpointRun(endpoint.pk, "me", lambda: len(receiver.requests) < 2).run()
        endpoint.refresh_from_db()
        assert (len(receiver.requests), endpoint.lease_owner) == (2, "")
        deliver()
    assert delivered(receiver) == ids_in_journal()


def test_a_new_kind_is_delivered_from_now_on_and_others_from_their_position(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        endpoint.kinds = ["enrollments", "students"]
        change(endpoint, ["kinds"])
        make_student()
        deliver()
    assert sorted(message["type"] for message in receiver.messages) == ["enrollment.created", "student.created"]


def test_every_kind_arrives_as_the_feed_has_it(api, endpoint_of, deliver, enroll_students):
    kinds = ["enrollments", "students", "courses", "terms"]
    with receiving() as receiver:
        endpoint = endpoint_of(receiver, kinds=kinds)
        enroll_students(2, make_course(term=make_term()))
        student = make_student()
        student.given_name = "Renamed"
        student.save()
        student.delete()
        deliver(endpoint)
    lines = api.get(FEED, {"kinds": ",".join(kinds)}).json()["results"]
    assert [(message["type"], message["data"]) for message in receiver.messages] == [
        (line["type"], line) for line in lines
    ]
    assert len(set(receiver.ids)) == len(lines)
    assert {message["type"] for message in receiver.messages} == {
        *("enrollment.created", "student.created", "student.changed", "student.deleted"),
        *("course.created", "term.created"),
    }


def test_the_error_of_one_endpoint_does_not_stop_the_others(endpoint_of, deliver, enroll_students, monkeypatch):
    with receiving() as receiver:
        broken, working = endpoint_of(receiver), endpoint_of(receiver)
        enroll_students(1)

        def read(endpoint, limit):
            if endpoint.pk == broken.pk:
                raise RuntimeError
            return read_messages(endpoint, limit)

        monkeypatch.setattr(endpoint_run, "read_messages", read)
        deliver()
    assert delivered(receiver) == ids_in_journal()
    working.refresh_from_db()
    assert working.delivered_at is not None


def test_a_message_with_the_longest_values_is_under_20_kb(actor, endpoint_of, deliver):
    names = {"given_name": "ü" * 100, "family_name": "ü" * 100, "student_number": "9" * 64}
    with receiving() as receiver:
        endpoint_of(receiver)
        student, course = make_student(**names), make_course(name="ü" * 200, code="C" * 64)
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        drop(student_id=student.pk, course_id=course.pk, actor=actor, reason="ü" * 1_000)
        deliver()
    assert max(len(request.body) for request in receiver.requests) < 20_000


def test_the_journal_is_the_outbox(actor, endpoint_of):
    """An endpoint adds no query to an enrollment."""

    def queries_of_an_enrollment():
        student, course = make_student(), make_course()
        with CaptureQueriesContext(connection) as captured:
            enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        return len(captured)

    queries_of_an_enrollment()
    before = queries_of_an_enrollment()
    with receiving() as receiver:
        endpoint_of(receiver)
        assert queries_of_an_enrollment() == before


def test_an_endpoint_without_changes_costs_no_write(endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        deliver(endpoint)
        assert dispatcher.due_endpoints() == []
    assert json.loads(receiver.requests[0].body)["data"]["id"] == endpoint.positions["enrollments"][0]
