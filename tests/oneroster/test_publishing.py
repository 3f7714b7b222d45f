"""Publishing: every change of what is shown moves ``dateLastModified``, and no reader misses a change."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection, transaction

from bulk.jobs.periodic_tasks import EACH_POLL
from bulk.jobs.worker import run_worker
from courses.models import CourseStaff, Term
from oneroster import publishing, sourced_ids
from oneroster.migrations._triggers import TABLES
from oneroster.models import ClassRecord, EnrollmentRecord, Touched, UserRecord
from oneroster.publishing import Behind, is_behind, publish
from school.access.access_log import Door
from students.enrollment import complete, drop, enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, Student
from students.privacy import erase, find_person
from tests.oneroster.rosters import V1P1, V1P2, codes, get_list, make_roster
from tests.support.factories import CANARY, make_course, make_student

LAST = "dateLastModified"


@pytest.fixture
def consumer(make_client):
    return make_client("rosters:read")


@pytest.fixture
def roster(actor):
    return make_roster(actor)


def snapshot(consumer):
    """Return everything that is shown, by its id."""
    return {
        each["sourcedId"]: each
        for name in ("academicSessions", "classes", "courses", "enrollments", "orgs", "users")
        for each in get_list(consumer, f"{V1P2}/{name}", limit=10_000)
    }


def without_time(record):
    return {name: value for name, value in record.items() if name != LAST}


def change_everything(roster, actor):
    """Yield after each change of something that is shown."""
    student, course, term, teacher = roster.student, roster.course, roster.term, roster.teacher
    for row, name, value in [
        (student, "given_name", "Augusta"),
        (student, "email", ""),
        (student, "is_active", False),
        (student, "student_number", f"{CANARY}-new"),
        (course, "name", "Another name"),
        (course, "code", "ANOTHER"),
        (course, "term", None),
        (course, "term", term),
        (term, "name", "Another name"),
        (term, "ends_on", "2099-05-05"),
        (term, "starts_on", "2025-08-08"),
        (teacher, "first_name", "Teo"),
        (teacher, "is_active", False),
    ]:
        setattr(row, name, value)
        row.save()
        yield f"{row._meta.model_name}.{name}"
    complete(student_id=student.pk, course_id=course.pk, actor=actor)
    yield "complete"
    CourseStaff.objects.all().delete()
    yield "staff"
    Student.objects.filter(pk=student.pk).update(family_name=f"{CANARY} again")
    yield "update"
    make_student().delete()
    make_course().delete()
    yield "delete"


@pytest.mark.django_db
def test_the_time_moves_whenever_anything_shown_changes_and_only_then(consumer, roster, actor):
    before = snapshot(consumer)
    for name in change_everything(roster, actor):
        newest = max(each[LAST] for each in before.values())
        after = snapshot(consumer)
        changed = {key for key in after if without_time(after[key]) != without_time(before.get(key, {}))}
        moved = {key for key, each in after.items() if each[LAST] > newest}
        assert (name, moved) == (name, changed)
        assert (name, bool(changed)) == (name, name != "delete")
        before = after


@pytest.mark.django_db
def test_a_change_of_what_is_not_shown_moves_nothing(consumer, roster):
    before = snapshot(consumer)
    roster.course.capacity, roster.term.drop_deadline = 7, "2026-05-05"
    roster.teacher.last_login = datetime.now(UTC)
    for row in (roster.course, roster.term, roster.teacher, roster.student):
        row.save()

    assert snapshot(consumer) == before


@pytest.mark.django_db
def test_a_consumer_reads_only_what_has_changed(consumer, roster):
    since = max(each[LAST] for each in snapshot(consumer).values())
    roster.student.email = ""
    roster.student.save()

    for root in (V1P1, V1P2):
        [found] = get_list(consumer, f"{root}/users", filter=f"{LAST}>'{since}'")
        assert found["sourcedId"] == roster.single("students")
        assert get_list(consumer, f"{root}/enrollments", filter=f"{LAST}>'{since}'") == []


@pytest.mark.django_db
def test_each_publication_has_a_later_time_even_if_the_clock_stands_still(consumer, roster):
    with time_machine.travel(datetime.now(UTC), tick=False):
        times = []
        for name in ("a", "b", "c"):
            Student.objects.filter(pk=roster.student.pk).update(given_name=name)
            times.append(consumer.get(f"{V1P2}/users/{roster.single('users')}").json()["user"][LAST])

    assert times == sorted(set(times))


@pytest.mark.django_db
def test_deleted_and_erased_records_stay_without_personal_data_for_some_days(consumer, roster, actor):
    deleted, course = make_student(email=f"x@{CANARY}.example"), make_course(term=roster.term)
    teacher = roster.single("teachers")
    snapshot(consumer)
    gone = str(sourced_ids.student_id(deleted.pk)), str(sourced_ids.class_id(course.pk))
    deleted.delete()
    course.delete()
    CourseStaff.objects.all().delete()
    erased = find_person(roster.left.student_number)
    erase(erased, reason="asked for it", door=Door.COMMAND)
    after = snapshot(consumer)

    removed = {key: each for key, each in after.items() if each["status"] == "tobedeleted"}
    people = {gone[0], teacher, str(sourced_ids.student_id(erased.pk))}
    assert {key for key, each in removed.items() if "enabledUser" in each} == people
    assert gone[1] in removed
    for key in people:
        shown = {
            name: removed[key].get(name) for name in ("givenName", "familyName", "enabledUser", "username", "email")
        }
        assert [*shown.values()] == ["-", "-", "false", None, None]
    assert CANARY.lower() not in str([removed[key] for key in people]).lower()
    left = {each["user"]["sourcedId"]: each["status"] for each in removed.values() if "beginDate" in each}
    assert left == {teacher: "tobedeleted", str(sourced_ids.student_id(erased.pk)): "tobedeleted"}
    for each in removed.values():
        if "enabledUser" in each:
            assert consumer.get(f"{V1P2}/users/{each['sourcedId']}").json()["user"] == each
    with time_machine.travel(datetime.now(UTC) + timedelta(days=31)):
        publish()
        assert not UserRecord.objects.filter(sourced_id__in=people).exists()
        assert not ClassRecord.objects.filter(sourced_id=gone[1]).exists()
        assert EnrollmentRecord.objects.count() == 2


@pytest.mark.django_db
def test_a_tombstone_comes_back_with_its_source(consumer, roster):
    snapshot(consumer)
    CourseStaff.objects.all().delete()
    removed = consumer.get(f"{V1P2}/users/{roster.single('teachers')}").json()["user"]
    CourseStaff.objects.create(course=roster.course, user=roster.teacher)
    returned = consumer.get(f"{V1P2}/users/{roster.single('teachers')}").json()["user"]

    assert (removed["status"], returned["status"], returned["givenName"]) == ("tobedeleted", "active", "Tea")
    assert EnrollmentRecord.objects.filter(role="teacher", status="active", removed_at=None).count() == 1


@pytest.mark.django_db
def test_records_have_no_names_emails_or_numbers(consumer, roster):
    snapshot(consumer)
    for model in publishing.RECORDS:
        assert CANARY.lower() not in str(list(model._default_manager.values())).lower()


@pytest.mark.django_db
def test_another_identifier_gives_everything_other_ids_and_removes_the_old_ones(consumer, roster, settings):
    before = snapshot(consumer)
    settings.ONEROSTER_ORG_IDENTIFIER = "another"
    after = snapshot(consumer)

    active = {key for key, each in after.items() if each["status"] == "active"}
    assert active & set(before) == set()
    assert len(active) == len([each for each in before.values() if each["status"] == "active"])
    assert {after[key]["status"] for key in before} == {"tobedeleted"}


@pytest.mark.django_db
def test_the_name_of_the_school_comes_from_the_settings(consumer, settings):
    snapshot(consumer)
    settings.ONEROSTER_ORG_NAME = "Hogwarts"
    [org] = get_list(consumer, f"{V1P2}/orgs")

    assert (org["name"], org["identifier"], org["type"]) == ("Hogwarts", "school", "school")


@pytest.mark.django_db
def test_enrollments_without_a_journal_are_published_in_chunks(consumer, roster, monkeypatch):
    monkeypatch.setattr(publishing, "CHUNK", 2)
    expected = snapshot(consumer)
    for model in publishing.RECORDS:
        model._default_manager.all().delete()
    publish()  # without the time limit of a request: a chunk has two rows

    assert {key: without_time(each) for key, each in snapshot(consumer).items()} == {
        key: without_time(each) for key, each in expected.items()
    }
    assert (is_behind(), Touched.objects.count()) == (False, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 100])
def test_other_days_of_a_term_reach_all_enrollments_of_its_courses_in_chunks(roster, actor, monkeypatch, chunk):
    other = make_course(term=roster.term)
    enroll(student_id=roster.student.pk, course_id=other.pk, actor=actor)
    publish()
    monkeypatch.setattr(publishing, "CHUNK", chunk)
    Term.objects.filter(pk=roster.term.pk).update(ends_on="2099-05-31")
    publish()

    days = EnrollmentRecord.objects.filter(status="active").values_list("end_on", flat=True)
    today = roster.completed.enrollments.get().ended_on.isoformat()
    assert sorted(map(str, days)) == [today, *["2099-05-31"] * 3]
    assert (is_behind(), Touched.objects.count()) == (False, 0)


@pytest.mark.django_db
def test_a_request_does_not_wait_for_long_and_never_shows_a_part(consumer, roster, monkeypatch):
    monkeypatch.setattr(publishing, "CHUNK", 1)
    monkeypatch.setattr("oneroster.api.views.REQUEST_SECONDS", 0)
    answer = consumer.get(f"{V1P2}/users")

    assert codes(answer) == (429, "server_busy")
    assert answer.headers["Retry-After"] == "5"
    with pytest.raises(Behind):
        publish(seconds=0)


@pytest.mark.django_db(transaction=True)
def test_the_worker_publishes(roster):
    assert is_behind()

    run_worker(keep_running=lambda: True, once=True)

    assert (is_behind(), EnrollmentRecord.objects.count()) == (False, 4)


@pytest.mark.django_db(transaction=True)
def test_a_failure_to_publish_does_not_end_the_worker(roster, settings):
    functions = ("oneroster.publishing.no_such_function", "oneroster.publishing.publish")
    settings.PERIODIC_TASKS = {path: (path, EACH_POLL) for path in functions}

    run_worker(keep_running=lambda: True, once=True)

    assert not is_behind()


@pytest.mark.django_db
def test_nothing_is_written_while_nothing_changes(consumer, roster, django_assert_num_queries):
    snapshot(consumer)

    with django_assert_num_queries(1):
        publish()


@pytest.mark.django_db
def test_every_table_has_its_triggers():
    """A later migration that copies a table of SQLite would drop them."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'oneroster_%'"
            )
        else:
            cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger")
        found = {row for row in cursor.fetchall() if row[1].startswith("oneroster_")}

    verbs = ("added", "changed", "deleted") if connection.vendor == "sqlite" else ("added", "changed")
    assert found == {(table, f"oneroster_{kind}_{verb}") for table, (kind, *_rest) in TABLES.items() for verb in verbs}


class HeldWriter(threading.Thread):
    """A transaction in another connection that is open until its caller lets it commit."""

    def __init__(self, write):
        super().__init__()
        self.write, self.written, self.may_commit = write, threading.Event(), threading.Event()

    def run(self):
        try:
            with transaction.atomic():
                self.write()
                self.written.set()
                self.may_commit.wait(30)
        finally:
            connection.close()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_a_late_commit_is_not_missed(make_client):
    consumer, actor = make_client("rosters:read"), ActorContext(Channel.SYSTEM)
    roster = make_roster(actor)
    late, early = make_student(), make_student()

    def write():
        enroll(student_id=late.pk, course_id=roster.course.pk, actor=actor)
        Student.objects.filter(pk=roster.left.pk).update(given_name="Late")
        CourseStaff.objects.create(course=roster.course, user=User.objects.create_user("late"))

    seen, writer = snapshot(consumer), HeldWriter(write)
    other = make_course(term=roster.term)
    writer.start()
    assert writer.written.wait(10)
    began = time.monotonic()
    while time.monotonic() - began < 10:
        enroll(student_id=early.pk, course_id=other.pk, actor=actor)
        drop(student_id=early.pk, course_id=other.pk, actor=actor)
        seen = snapshot(consumer)
        read_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        newest = max(each[LAST] for each in seen.values())
        time.sleep(1)
    writer.may_commit.set()
    writer.join()
    deltas = [
        {
            each["sourcedId"]
            for name in ("users", "enrollments")
            for each in get_list(consumer, f"{V1P2}/{name}", filter=f"{LAST}>'{since}'")
        }
        for since in (read_at, newest)
    ]

    after = snapshot(consumer)
    changed = {key for key in after if without_time(after[key]) != without_time(seen.get(key, {}))}
    late_user = sourced_ids.student_id(late.pk)
    assert str(sourced_ids.enrollment_id(late_user, sourced_ids.class_id(roster.course.pk))) in changed
    assert str(sourced_ids.student_id(roster.left.pk)) in changed
    assert (len(changed), deltas) == (4, [changed, changed])


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_a_reader_waits_for_a_publication_that_is_not_committed(make_client):
    consumer, actor = make_client("rosters:read"), ActorContext(Channel.SYSTEM)
    roster = make_roster(actor)
    snapshot(consumer)
    Student.objects.filter(pk=roster.student.pk).update(given_name="Later")
    other = HeldWriter(publish)
    other.start()
    assert other.written.wait(10)
    threading.Timer(1, other.may_commit.set).start()
    user = consumer.get(f"{V1P2}/users/{roster.single('users')}").json()["user"]
    other.join()

    assert user["givenName"] == "Later"
