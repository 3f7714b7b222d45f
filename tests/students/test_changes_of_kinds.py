"""The change feed of several kinds has every change of students, courses and terms, even if one commits late."""

import io
import json

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from courses.models import Course
from school.access.access_log import Door
from school.access.row_scope import RowScope
from students.api.change_lines import read_lines
from students.enrollment import complete, drop, enroll
from students.enrollment.commands import OnFull
from students.events import feed
from students.events.feed import Position
from students.events.feed_of_kinds import Positions, decode_positions, encode_positions, latest_positions
from students.events.kinds import COURSES, ENROLLMENTS, KINDS, STUDENTS, TERMS
from students.models import Student
from students.privacy.erase import erase
from students.privacy.person_lookup import find_person, person_of
from tests.support.factories import CANARY, make_course, make_student, make_term
from tests.support.late_writer import late_writer

FEED = "/api/v1/changes"
ALL = "enrollments,students,courses,terms"

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap")


def read_all(api, **query):
    """Read all pages, and return the lines and the last cursor."""
    lines, cursor, more = [], "", True
    while more:
        page = api.get(FEED, {"after": cursor, **query}).json()
        lines += page["results"]
        cursor, more = page["cursor"], page["has_more"]
    return lines, cursor


def types(lines):
    return [line["type"] for line in lines]


@pytest.fixture
def changes(actor):
    """A change of each kind, in the order of their times: the types of the lines."""
    term = make_term(code="2026F")
    course = make_course(code="MATH-101", term=term)
    student = make_student()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    student.given_name = "Grace"
    student.save()
    return ["term.created", "course.created", "student.created", "enrollment.created", "student.changed"]


# Lines


def test_the_feed_of_all_kinds_has_every_change_by_time(api, changes):
    lines, _cursor = read_all(api, kinds=ALL)

    assert types(lines) == changes


def test_a_line_has_the_object_as_the_api_shows_it(api, changes):
    lines, _cursor = read_all(api, kinds="students,courses,terms")
    term, course, first, second = lines
    student = api.get(f"/api/v1/students/{second['student']['id']}").json()
    shown = api.get(f"/api/v1/courses/{course['course']['id']}").json()

    assert second["student"] == student
    assert first["student"] == {**student, "given_name": "Ada"}
    assert course["course"] == {name: value for name, value in shown.items() if name in course["course"]}
    assert set(shown) - set(course["course"]) == {"seats", "warnings"}
    assert term["term"] == api.get("/api/v1/terms/code:2026F").json()
    assert {name for line in lines for name in line} == {
        *("type", "id", "action", "at", "actor"),
        *("student", "course", "term"),
    }


def test_a_line_has_the_action_the_actor_and_the_time(api):
    course = api.post("/api/v1/courses", {"code": "A", "name": "A", "level": "introductory"}).json()
    api.patch(f"/api/v1/courses/{course['id']}", {"name": "B"})
    api.delete(f"/api/v1/courses/{course['id']}")
    versions = Course.history.order_by("pk")

    lines, _cursor = read_all(api, kinds="courses")

    assert [(line["id"], line["action"], line["type"], line["course"]["name"]) for line in lines] == [
        (versions[0].pk, "created", "course.created", "A"),
        (versions[1].pk, "changed", "course.changed", "B"),
        (versions[2].pk, "deleted", "course.deleted", "B"),
    ]
    assert {line["actor"] for line in lines} == {versions[0].history_user.username}
    assert [line["at"] for line in lines] == [each.history_date.isoformat().replace("+00:00", "Z") for each in versions]


@pytest.mark.django_db
def test_the_lines_of_a_course_keep_the_code_of_a_deleted_term(api):
    old, new = make_term(code="OLD"), make_term(code="NEW")
    course = make_course(term=old)
    course.term = new
    course.save()
    old.delete()
    new.code = "NEWER"
    new.save()

    lines, _cursor = read_all(api, kinds="courses")

    assert [line["course"]["term"] for line in lines] == ["OLD", "NEWER"]


@pytest.mark.django_db
def test_each_change_of_an_enrollment_has_a_type(api, actor):
    course = make_course(capacity=1, waitlist_capacity=1)
    first, second = make_student(), make_student()
    for student in (first, second):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    drop(student_id=first.pk, course_id=course.pk, actor=actor)
    for grade in ("A", "B"):
        complete(student_id=second.pk, course_id=course.pk, grade=grade, actor=actor)

    lines, _cursor = read_all(api, kinds="enrollments")

    assert types(lines) == [
        *("enrollment.created", "enrollment.waitlisted", "enrollment.dropped"),
        *("enrollment.promoted", "enrollment.completed", "enrollment.regraded"),
    ]


def test_without_kinds_the_feed_has_enrollments_as_before(api, changes):
    page = api.get(FEED).json()
    [line], _cursor = read_all(api, kinds="enrollments")

    assert page["results"] == [{name: value for name, value in line.items() if name != "type"}]


# Pages and cursors


@pytest.mark.parametrize("limit", [1, 2, 5, 500])
def test_pages_of_any_size_together_are_the_whole_feed(api, changes, limit):
    whole, end = read_all(api, kinds=ALL)

    lines, cursor = read_all(api, kinds=ALL, limit=limit)

    assert (lines, cursor) == (whole, end)
    assert api.get(FEED, {"after": cursor, "kinds": ALL}).json() == {"cursor": end, "has_more": False, "results": []}
    assert api.get(FEED, {"after": "latest", "kinds": ALL}).json() == {"cursor": end, "has_more": False, "results": []}


def test_a_cursor_continues_each_kind_where_it_was_read(api, changes):
    _lines, of_students = read_all(api, kinds="students")
    _lines, of_enrollments = read_all(api)

    assert types(read_all_after(api, of_students, "students,terms")) == ["term.created"]
    assert types(read_all_after(api, of_enrollments, "enrollments,terms")) == ["term.created"]
    terms_after_students = api.get(FEED, {"after": of_students, "kinds": "terms"}).json()["cursor"]
    assert read_all_after(api, terms_after_students, "students,terms") == []


def read_all_after(api, cursor, kinds):
    page = api.get(FEED, {"after": cursor, "kinds": kinds}).json()
    assert page["has_more"] is False
    return page["results"]


def test_a_cursor_of_several_kinds_is_refused_without_kinds(api, changes):
    _lines, cursor = read_all(api, kinds=ALL)

    answer = api.get(FEED, {"after": cursor})

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_cursor")


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", ["s", "s1", "s1.x:y", "e0:x", "x1:y"])
def test_a_cursor_that_is_not_of_this_feed_is_400(api, cursor):
    answer = api.get(FEED, {"after": cursor, "kinds": ALL})

    assert [(e["code"], e["field"]) for e in answer.json()["errors"]] == [("invalid_cursor", "after")]


def test_the_longest_cursor_is_accepted(api):
    positions = dict.fromkeys(KINDS.values(), Position(2**63 - 1, "f" * 16))
    cursor = encode_positions(positions)

    assert (len(cursor) <= 200, decode_positions(cursor)) == (True, positions)


@pytest.mark.parametrize("kind", [STUDENTS, COURSES, TERMS])
def test_a_cursor_whose_change_is_missing_or_another_one_is_410(api, changes, kind):
    [last] = latest_positions([kind]).values()

    for position in (Position(last.event_id + 1, last.digest), Position(last.event_id, "0" * 16)):
        answer = api.get(FEED, {"after": encode_positions({kind: position}), "kinds": ALL})

        assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired")


@pytest.mark.django_db
@pytest.mark.parametrize("kinds", ["", "people", "students,", "students;courses", "Students"])
def test_unknown_kinds_are_400(api, kinds):
    answer = api.get(FEED, {"kinds": kinds})

    assert (answer.status_code, [(e["code"], e["field"]) for e in answer.json()["errors"]]) == (
        400,
        [("invalid_choice", "kinds")],
    )


@pytest.mark.django_db
def test_a_page_costs_the_same_queries_for_any_number_of_changes(django_assert_num_queries):
    read_lines([STUDENTS, TERMS], {}, 500)
    for size in (1, 30):
        for _ in range(size):
            make_student()
        expected = 2 if connection.vendor == "sqlite" else 5
        with django_assert_num_queries(expected):
            assert len(read_lines([STUDENTS, TERMS], {}, 500).lines) >= size


@pytest.mark.django_db
def test_a_long_poll_returns_when_a_change_of_any_kind_appears(api, monkeypatch):
    monkeypatch.setattr(feed, "POLL_INTERVAL", 0.01)
    monkeypatch.setattr("time.sleep", lambda seconds: make_term())

    page = api.get(FEED, {"wait": 20, "kinds": ALL}).json()

    assert types(page["results"]) == ["term.created"]


# Erasure


@pytest.mark.django_db
def test_an_erasure_is_a_line_and_earlier_lines_lose_personal_data(api):
    student = make_student()
    student.given_name = "Grace"
    student.save()
    before, cursor = read_all(api, kinds="students")

    erase(person_of(student), reason="asked", door=Door.COMMAND)

    [line] = read_all_after(api, cursor, "students")
    lines, _cursor = read_all(api, kinds="students")
    assert types(before) == ["student.created", "student.changed"]
    assert types(lines) == ["student.created", "student.changed", "student.erased"]
    assert (line["type"], line["action"], line["student"]) == (
        "student.erased",
        "erased",
        {
            "id": student.pk,
            "student_number": f"erased-{student.pk}",
            "given_name": "",
            "family_name": "",
            "email": "",
            "max_credits": None,
            "is_active": False,
        },
    )
    assert CANARY.lower() not in json.dumps(lines).lower()


@pytest.mark.django_db
def test_the_erasure_of_a_deleted_student_is_a_line_too(api):
    student = make_student()
    pk, number = student.pk, student.student_number
    student.delete()

    erase(find_person(number), reason="asked", door=Door.COMMAND)

    lines, _cursor = read_all(api, kinds="students")
    assert types(lines) == ["student.created", "student.deleted", "student.erased"]
    assert {line["student"]["id"] for line in lines} == {pk}
    assert CANARY.lower() not in json.dumps(lines).lower()


@pytest.mark.django_db
def test_the_erasure_of_a_student_with_the_number_erased_hides_no_other_erasure(api):
    first, second = make_student(), make_student(student_number="erased", given_name="Ada", family_name="Byron")
    for student in (first, second):
        erase(person_of(student), reason="asked", door=Door.COMMAND)

    lines, _cursor = read_all(api, kinds="students")

    assert types(lines).count("student.erased") == 2


# The command


def run(**options):
    out = io.StringIO()
    call_command("follow_changes", "--once", stdout=out, **options)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_command_prints_the_changes_of_the_kinds_and_resumes_after_any_of_them(api, changes):
    kinds = [*KINDS.values()]
    lines = run(kinds=kinds)

    assert types(lines) == changes
    for number, line in enumerate(lines, 1):
        assert run(kinds=kinds, after=line["cursor"]) == lines[number:]
    assert [{name: line[name] for name in line if name != "cursor"} for line in lines] == read_all(api, kinds=ALL)[0]


@pytest.mark.django_db
def test_the_command_refuses_unknown_kinds(capsys):
    with pytest.raises(CommandError, match="argument --kinds: choose from enrollments, students, courses, terms, "):
        call_command("follow_changes", "--once", "--kinds", "people")


# Access


@pytest.mark.parametrize(
    ("kinds", "scopes", "missing"),
    [
        ("students", ("changes:read",), "students:read"),
        ("courses", ("changes:read", "students:read"), "courses:read"),
        ("enrollments,terms", ("changes:read", "students:read"), "courses:read"),
        ("students,terms", ("changes:read", "courses:read"), "students:read"),
        ("terms", ("courses:read",), "changes:read"),
    ],
)
def test_each_kind_needs_the_scope_to_read_it(make_client, kinds, scopes, missing):
    answer = make_client(*scopes).get(FEED, {"kinds": kinds})

    assert (answer.status_code, answer.json()["missing_scope"]) == (403, missing)


def test_a_client_with_the_scopes_reads_the_kinds(make_client, changes):
    lines, _cursor = read_all(make_client("changes:read", "courses:read"), kinds="terms")

    assert types(lines) == ["term.created"]


def test_staff_need_the_permission_to_view_each_kind(client, viewer, changes):
    client.force_login(viewer)
    viewer.groups.clear()
    for name in ("view_enrollmentevent", "view_term"):
        viewer.user_permissions.add(Permission.objects.get(codename=name))

    allowed, refused = client.get(FEED, {"kinds": "terms"}), client.get(FEED, {"kinds": "students"})

    assert (types(allowed.json()["results"]), refused.status_code, refused.json()["missing_permission"]) == (
        ["term.created"],
        403,
        "students.view_student",
    )


@pytest.mark.django_db
def test_lines_without_names_have_only_the_id_of_the_student_and_no_reason(actor):
    student = make_student()
    enroll(student_id=student.pk, course_id=make_course().pk, actor=actor, reason="Her mother asked for it.")

    [line] = read_lines([ENROLLMENTS], {}, 10, with_names=False).lines

    shown = json.loads(line.json)
    assert (shown["student"], shown["reason"]) == ({"id": student.pk}, "")
    assert CANARY.lower() not in line.json.lower()


@pytest.mark.django_db
def test_lines_within_a_scope_are_those_of_its_objects(actor):
    mine, other = make_course(term=make_term()), make_course(term=make_term())
    for course in (mine, other):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
    make_student()
    mine.prerequisites = ["HIDDEN"]
    mine.save()
    scope = RowScope(0, frozenset(), frozenset([mine.pk]), frozenset(filter(None, [mine.term_id])))

    page = read_lines([*KINDS.values()], {}, 500, row_scope=scope)

    assert [line.type for line in page.lines] == [
        *("term.created", "course.created", "student.created", "enrollment.created", "course.changed"),
    ]
    assert json.loads(page.lines[-1].json)["course"]["prerequisites"] == []
    assert page.positions == latest_positions([*KINDS.values()])


@pytest.mark.django_db
def test_a_limited_reader_sees_the_versions_of_courses_in_its_own_terms():
    mine, other = make_term(code="MINE"), make_term(code="OTHER")
    course = make_course(term=other, name="elsewhere")
    for term, name in ((mine, "here"), (other, "gone")):
        course.term, course.name = term, name
        course.save()
    deleted = make_course(term=mine, name="deleted")
    deleted.delete()
    by_term = RowScope(0, frozenset([mine.pk]), frozenset(), frozenset())
    by_course = RowScope(0, frozenset(), frozenset([course.pk]), frozenset([other.pk]))

    def seen(scope):
        lines = read_lines([COURSES], {}, 500, row_scope=scope).lines
        return [(line.type, json.loads(line.json)["course"]["name"]) for line in lines]

    assert seen(by_term) == [("course.changed", "here"), ("course.created", "deleted"), ("course.deleted", "deleted")]
    assert seen(by_course) == [("course.created", "elsewhere"), ("course.changed", "gone")]


# Late commits


WRITERS = {
    "a saved student": (STUDENTS, make_student),
    "a saved course": (COURSES, make_course),
    "a saved term": (TERMS, make_term),
    "students created together": (
        STUDENTS,
        lambda: bulk_create_with_history([Student(student_number="1", given_name="Ada")], Student),
    ),
    "courses changed together": (
        COURSES,
        lambda: bulk_update_with_history([*Course.objects.all()[:1]], Course, ["is_active"]),
    ),
}


def read_around_a_late_commit(kind, write):
    """Return the ids that a polling reader gets, and those of the whole history."""
    for make in (make_student, make_course, make_term):
        make()
    positions: Positions = latest_positions([kind])
    heard: list[int] = []

    def poll():
        nonlocal positions
        page = read_lines([kind], positions, 100)
        heard.extend(line.id for line in page.lines)
        positions = page.positions

    before = set(kind.rows().values_list("pk", flat=True))
    with late_writer(write):
        {STUDENTS: make_student, COURSES: make_course, TERMS: make_term}[kind]()
        poll()
    poll()
    return heard, [pk for pk in kind.rows().order_by("pk").values_list("pk", flat=True) if pk not in before]


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", [*WRITERS])
def test_a_reader_gets_each_change_once_if_the_first_writer_commits_last(name):
    heard, written = read_around_a_late_commit(*WRITERS[name])

    assert (heard, len(heard)) == (written, 2)


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", [*WRITERS])
def test_without_the_safe_watermark_a_late_commit_is_missed(name, monkeypatch):
    """The test above can fail: a plain ``id > cursor`` misses the late commit."""
    monkeypatch.setattr(feed, "ON_POSTGRESQL", False)

    heard, written = read_around_a_late_commit(*WRITERS[name])

    assert heard == written[1:]
