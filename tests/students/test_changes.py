"""The change feed has every change once and in order, even if a transaction commits late."""

import io
import json
import sqlite3
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from django.core import signing
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from school.access.access_log import Door
from school.refusals import Refused
from students.enrollment import complete, drop, enroll, enroll_many
from students.enrollment.commands import OnFull
from students.events import feed, journal
from students.events.feed import Position, cursor_of, encode_cursor, read_changes
from students.models import EnrollmentEvent
from students.privacy.erase import erase
from students.privacy.person_lookup import person_of
from tests.support.factories import make_course, make_student
from tests.support.late_writer import late_writer
from tests.support.postgres import find_binaries

FEED = "/api/v1/changes"

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap")


def enroll_students(actor, times=1):
    """Enroll this many students, one after the other."""
    course = make_course()
    for _ in range(times):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)


def read_all(api, **query):
    """Read all pages, and return the ids and the last cursor."""
    ids, cursor, more = [], "", True
    while more:
        page = api.get(FEED, {"after": cursor, **query}).json()
        ids += [event["id"] for event in page["results"]]
        cursor, more = page["cursor"], page["has_more"]
    return ids, cursor


@pytest.mark.django_db
def test_the_feed_has_every_change_of_every_enrollment_in_order(api, actor):
    course = make_course(capacity=1, waitlist_capacity=1)
    first, second = make_student(), make_student()
    for student in (first, second):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    drop(student_id=first.pk, course_id=course.pk, actor=actor)
    complete(student_id=second.pk, course_id=course.pk, grade="A", actor=actor)

    results = api.get(FEED).json()["results"]

    assert [(line["student"]["id"], line["action"], line["from_status"], line["to_status"]) for line in results] == [
        (first.pk, "enroll", "", "enrolled"),
        (second.pk, "enroll", "", "waitlisted"),
        (first.pk, "drop", "enrolled", "dropped"),
        (second.pk, "promote", "waitlisted", "enrolled"),
        (second.pk, "complete", "enrolled", "completed"),
    ]
    assert results[-1]["changes"]["grade"] == ["", "A"]
    assert {line["course"]["code"] for line in results} == {course.code}


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 2, 5, 500])
def test_pages_of_any_size_together_are_the_whole_feed(api, actor, limit):
    enroll_students(actor, 5)

    ids, _cursor = read_all(api, limit=limit)

    assert ids == list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.django_db
def test_the_last_page_has_a_cursor_for_the_next_request(api, actor):
    enroll_students(actor, 2)
    _ids, cursor = read_all(api)
    assert api.get(FEED, {"after": cursor}).json() == {"cursor": cursor, "has_more": False, "results": []}

    enroll_students(actor)

    results = api.get(FEED, {"after": cursor}).json()["results"]
    assert [event["id"] for event in results] == [EnrollmentEvent.objects.latest("pk").pk]


@pytest.mark.django_db
def test_latest_is_the_cursor_after_all_existing_changes(api, actor):
    enroll_students(actor, 3)

    page = api.get(FEED, {"after": "latest"}).json()

    assert (page["results"], page["cursor"]) == ([], read_all(api)[1])


@pytest.mark.django_db
def test_an_empty_feed_has_a_cursor_too(api, actor):
    page = api.get(FEED).json()
    enroll_students(actor)

    assert (page["has_more"], page["results"]) == (False, [])
    assert len(api.get(FEED, {"after": page["cursor"]}).json()["results"]) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "cursor",
    ["x", "1", "0", "é", "1:x", signing.Signer().sign("1"), signing.Signer(salt="changes").sign("x")],
)
def test_a_cursor_that_is_not_of_this_feed_is_400(api, actor, cursor):
    enroll_students(actor)

    answer = api.get(FEED, {"after": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [(e["code"], e["field"]) for e in answer.json()["errors"]] == [("invalid_cursor", "after")]


@pytest.mark.django_db
def test_cursors_of_lists_and_of_the_feed_are_not_interchangeable(api, actor):
    enroll_students(actor, 2)
    of_list = api.get("/api/v1/enrollments?page_size=1").json()["next"].split("cursor=")[1]
    of_feed = api.get(FEED).json()["cursor"]

    assert api.get(f"{FEED}?after={of_list}").status_code == 400
    assert api.get("/api/v1/enrollments", {"cursor": of_feed}).status_code == 400


@pytest.mark.django_db
def test_a_cursor_outside_the_stored_range_is_410(api, actor):
    enroll_students(actor, 2)
    first, last = EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True)

    for position in (-1, last + 1):
        answer = api.get(FEED, {"after": encode_cursor(Position(position))})

        assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired")
    assert api.get(FEED, {"after": encode_cursor(Position(first))}).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ({"limit": 0}, [("min_value", "limit")]),
        ({"limit": 501}, [("max_value", "limit")]),
        ({"limit": "x", "wait": "y"}, [("invalid", "limit"), ("invalid", "wait")]),
        ({"wait": 21}, [("max_value", "wait")]),
        ({"wait": -1}, [("min_value", "wait")]),
        ({"wait": "", "limit": ""}, [("invalid", "limit"), ("invalid", "wait")]),
        ({"since": "2026"}, [("unknown_field", "since")]),
        ({"limit": "9" * 400}, [("invalid", "limit")]),
        ({"limit": "", "wait": ""}, [("invalid", "limit"), ("invalid", "wait")]),
    ],
)
def test_an_invalid_query_is_400_with_every_error(api, query, errors):
    answer = api.get(FEED, query)

    assert answer.status_code == 400
    assert [(e["code"], e["field"]) for e in answer.json()["errors"]] == errors


@pytest.mark.django_db
def test_a_page_costs_the_same_queries_for_any_number_of_changes(actor, django_assert_num_queries):
    for size in (1, 30):
        enroll_students(actor, size)
        expected = 1 if connection.vendor == "sqlite" else 4
        with django_assert_num_queries(expected):
            assert len(read_changes("", 500).entries) >= size


# Long polling


@pytest.mark.django_db(transaction=True)
def test_a_long_poll_waits_until_a_change_is_committed(api, actor, monkeypatch):
    monkeypatch.setattr(feed, "POLL_INTERVAL", 0.01)
    looked = threading.Event()
    page_of = feed.Reader.page

    def look(*args):
        page = page_of(*args)
        looked.set()
        return page

    def act():
        looked.wait(timeout=20)
        enroll_students(actor)
        connection.close()

    if connection.vendor == "sqlite":
        pytest.skip("a database in memory is seen by one connection")
    monkeypatch.setattr(feed.Reader, "page", look)
    thread = threading.Thread(target=act)
    thread.start()

    page = api.get(FEED, {"wait": 20}).json()

    thread.join()
    assert len(page["results"]) == 1


@pytest.mark.django_db
def test_a_long_poll_ends_after_its_timeout(api, monkeypatch):
    monkeypatch.setattr(feed, "POLL_INTERVAL", 0.01)
    started = time.monotonic()

    page = api.get(FEED, {"wait": 1}).json()

    assert page["results"] == []
    assert time.monotonic() - started >= 1


@pytest.mark.django_db
def test_a_request_beyond_the_long_poll_limit_is_answered_immediately(api, monkeypatch):
    monkeypatch.setattr(feed, "_long_poll_slots", threading.BoundedSemaphore(0))
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))

    assert api.get(FEED, {"wait": 20}).json()["results"] == []


# Late commits


def read_around_a_late_commit(actor):
    """
    Return the students that a polling reader gets, and those of the whole journal, both in order.

    The first writer inserts its journal entry first, but the second writer commits first.
    """
    heard: list[int] = []
    cursor = ""

    def poll():
        nonlocal cursor
        page = read_changes(cursor, 100)
        heard.extend(entry.id for entry in page.entries)
        cursor = page.cursor

    student, course = make_student(), make_course()
    with late_writer(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=actor)):
        enroll_students(actor)
        poll()
    poll()
    return heard, list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_reader_gets_each_change_once_if_the_first_writer_commits_last(actor):
    heard, written = read_around_a_late_commit(actor)

    assert (heard, len(heard)) == (written, 2)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_without_the_safe_watermark_a_late_commit_is_missed(actor, monkeypatch):
    """The test above can fail: a plain ``id > cursor`` misses the late commit."""
    monkeypatch.setattr(feed, "ON_POSTGRESQL", False)

    heard, written = read_around_a_late_commit(actor)

    assert heard == written[1:]


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_writer_that_rolls_back_does_not_block_the_feed(actor):
    class Undone(Exception):
        pass

    with pytest.raises(Undone), transaction.atomic():
        enroll_students(actor)
        raise Undone
    enroll_students(actor)

    assert len(read_changes("", 10).entries) == 1
    assert journal.JOURNAL.safe_watermark() == EnrollmentEvent.objects.latest("pk").pk


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_reader_misses_no_change_of_many_concurrent_writers(actor):
    students, courses = [make_student().pk for _ in range(20)], [make_course().pk for _ in range(8)]
    done = threading.Event()

    def write(course):
        for student in students:
            enroll_many([(student, course)], actor=actor)
        connection.close()

    heard, cursor = [], ""
    writers = [threading.Thread(target=write, args=[course]) for course in courses]
    for writer in writers:
        writer.start()

    def finish():
        for writer in writers:
            writer.join()
        done.set()

    threading.Thread(target=finish).start()
    last_look = False
    while not last_look:
        last_look = done.is_set()
        page = read_changes(cursor, 7)
        while page.entries:
            heard += [entry.id for entry in page.entries]
            cursor = page.cursor
            page = read_changes(cursor, 7)

    assert heard == list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert len(heard) == len(students) * len(courses)


# The command


@pytest.mark.django_db
def test_the_command_prints_each_change_as_a_line_and_resumes_after_any_of_them(actor):
    enroll_students(actor, 3)
    out = io.StringIO()
    call_command("follow_changes", once=True, stdout=out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]

    rest = io.StringIO()
    call_command("follow_changes", once=True, after=lines[0]["cursor"], stdout=rest)
    nothing = io.StringIO()
    call_command("follow_changes", once=True, from_now=True, stdout=nothing)

    assert [line["id"] for line in lines] == list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert rest.getvalue().splitlines() == out.getvalue().splitlines()[1:]
    assert nothing.getvalue() == ""


@pytest.mark.django_db
def test_the_command_reports_an_invalid_cursor_in_one_line():
    with pytest.raises(
        CommandError, match=r"^This cursor does not belong to the change feed\. Start without a cursor\.$"
    ):
        call_command("follow_changes", once=True, after="x")


# A restored database


@contextmanager
def backed_up(folder):
    """Dump the database; restore it at the end of the block."""
    if connection.vendor == "sqlite":
        copy = sqlite3.connect(":memory:")
        connection.ensure_connection()
        connection.connection.backup(copy)
        yield
        copy.backup(connection.connection)
        copy.close()
        return
    database = connection.settings_dict
    to = ["-h", database["HOST"], "-p", str(database["PORT"]), "-U", database["USER"], "-d", database["NAME"]]
    binaries = find_binaries()
    assert binaries is not None
    subprocess.run([binaries / "pg_dump", *to, "-Fc", "-f", folder / "dump"], check=True, timeout=120)
    yield
    connection.close()
    restore = [binaries / "pg_restore", *to, "--clean", "--if-exists", "--single-transaction", folder / "dump"]
    subprocess.run(restore, check=True, timeout=120)


@pytest.mark.django_db(transaction=True)
def test_after_a_restore_cursors_of_lost_entries_expire_and_older_ones_miss_nothing(api, actor, tmp_path):
    enroll_students(actor, 3)
    _ids, before = read_all(api)
    with backed_up(tmp_path):
        enroll_students(actor, 100)
        lost = [api.get(FEED, {"after": before, "limit": limit}).json()["cursor"] for limit in (1, 50, 100)]
        _ids, latest = read_all(api)
    enroll_students(actor, 200)

    for cursor in (*lost, latest):
        answer = api.get(FEED, {"after": cursor})
        assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired")
        with pytest.raises(Refused) as refused:
            read_changes(cursor, 100)
        assert [refusal.code for refusal in refused.value.refusals] == ["cursor_expired"]
        with pytest.raises(CommandError, match="have been deleted"):
            call_command("follow_changes", "--once", after=cursor, stdout=io.StringIO())
    page = api.get(FEED, {"after": before, "limit": 500}).json()
    behind = EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True)[3:]
    assert [event["id"] for event in page["results"]] == list(behind)
    assert len(behind) == 200


@pytest.mark.django_db
def test_a_cursor_without_a_digest_is_accepted_and_replaced_by_one_with_it(api, actor):
    enroll_students(actor, 3)
    first, *others = EnrollmentEvent.objects.order_by("pk")
    old = signing.Signer(salt="changes").sign(str(first.pk))

    page = api.get(FEED, {"after": old}).json()
    at_the_end = api.get(FEED, {"after": signing.Signer(salt="changes").sign(str(others[-1].pk))}).json()

    assert [event["id"] for event in page["results"]] == [event.pk for event in others]
    assert page["cursor"] == at_the_end["cursor"] == cursor_of(others[-1])


@pytest.mark.django_db
def test_every_way_to_read_the_feed_gives_the_same_cursor(api, actor):
    enroll_students(actor, 3)
    first, second, last = EnrollmentEvent.objects.order_by("pk")
    out = io.StringIO()
    call_command("follow_changes", "--once", stdout=out)

    assert [json.loads(line)["cursor"] for line in out.getvalue().splitlines()] == [
        cursor_of(first),
        cursor_of(second),
        cursor_of(last),
    ]
    for query in ({}, {"after": "latest"}, {"wait": "1"}, {"after": cursor_of(second)}, {"after": cursor_of(last)}):
        assert api.get(FEED, query).json()["cursor"] == cursor_of(last)
    assert read_changes("", 2).cursor == cursor_of(second)


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["enrollment_id", "action", "at", "request_id"])
def test_a_cursor_of_another_entry_with_the_same_id_has_expired(api, actor, field):
    enroll_students(actor, 2)
    first = EnrollmentEvent.objects.order_by("pk")[0]
    other = {"enrollment_id": 999, "action": "drop", "at": timezone.now(), "request_id": "another"}
    setattr(first, field, other[field])

    answer = api.get(FEED, {"after": cursor_of(first)})

    assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired")


@pytest.mark.django_db
def test_a_cursor_stays_valid_when_the_student_is_erased(api, actor):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)
    _ids, cursor = read_all(api)

    erase(person_of(student), reason="asked for it", door=Door.COMMAND)

    assert api.get(FEED, {"after": cursor}).json() == {"cursor": cursor, "has_more": False, "results": []}
