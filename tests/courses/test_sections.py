"""Sections, which are courses with one code in a term: their keys in paths, bodies, files, the admin and OneRoster."""

import csv
import io

import pytest
from django.core.management import call_command
from django.db import connection

from bulk.jobs.import_actions import approve
from bulk.models import Import
from courses.lookup import CourseKey, courses_by_key, parse_course_key
from courses.models import Course
from oneroster.models import ClassRecord
from oneroster.publishing import publish
from school.refusals import Refusal
from students.enrollment import enroll
from students.models import EnrollmentEvent, StudentCourse
from tests.bulk.test_zips import imported as imported_zip
from tests.bulk.test_zips import zipped_as
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import imported, outcomes, worked_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def term():
    return make_term(code="2026F")


def make_sections(*keys):
    """Make a course for each key; return them by their keys."""
    terms = {}
    made = {}
    for text in keys:
        key = parse_course_key(text)
        if key.term and key.term not in terms:
            terms[key.term] = make_term(code=key.term)
        made[text] = make_course(code=key.code, term=terms.get(key.term), section=key.section)
    return made


@pytest.mark.parametrize("text", ["M-1", "M-1@2026F", "M-1@2026F@B", "M-1@@B"])
def test_a_key_is_written_as_it_is_read(text):
    [course] = make_sections(text).values()

    assert (str(parse_course_key(text)), course.full_code) == (text, text)


@pytest.mark.parametrize(
    ("keys", "text", "expected"),
    [
        (["M-1@F", "M-1@F@A"], "M-1@F", "M-1@F"),
        (["M-1@F", "M-1@F@A"], "M-1@F@A", "M-1@F@A"),
        (["M-1@F@A"], "M-1@F", "M-1@F@A"),
        (["M-1@F@A"], "M-1", "M-1@F@A"),
        (["M-1", "M-1@@A", "M-1@F"], "M-1", "M-1"),
        (["M-1@@A", "M-1@F"], "M-1", "M-1@@A"),
        (["M-1@@A", "M-1@@B"], "M-1@@B", "M-1@@B"),
        (["M-1@F@A", "M-1@F@B", "M-1@S@A"], "M-1@@B", "M-1@F@B"),
        (["M-1@F", "M-1@F@A", "M-1@S@A"], "M-1@S", "M-1@S@A"),
    ],
)
def test_a_key_without_a_section_means_the_one_without_a_name_else_the_only_one(keys, text, expected):
    made = make_sections(*keys)
    key = parse_course_key(text)

    assert courses_by_key([key]) == {key: made[expected]}


@pytest.mark.parametrize(
    ("keys", "text", "message", "field"),
    [
        (
            [f"M-1@F@{name}" for name in "GABCDEF"],
            "M-1@F",
            "M-1@F has several sections (M-1@F@A, M-1@F@B, M-1@F@C, M-1@F@D, M-1@F@E). Add the section.",
            "section",
        ),
        (["M-1@@A", "M-1@@B"], "M-1", "M-1 has several sections (M-1@@A, M-1@@B). Add the section.", "section"),
        (["M-1@F@A", "M-1@S@A"], "M-1", "M-1 is offered in several terms (F, S). Add the term.", "term"),
        (["M-1@F@A", "M-1@S@A"], "M-1@@A", "M-1 is offered in several terms (F, S). Add the term.", "term"),
    ],
)
def test_an_ambiguous_key_is_refused_with_up_to_five_keys(keys, text, message, field, api):
    make_sections(*keys)

    answer = api.get(f"/api/v1/courses/code:{text}")

    assert (answer.status_code, answer.json()["code"]) == (409, "course_ambiguous")
    assert answer.json()["errors"] == [{"code": "course_ambiguous", "field": field, "message": message}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("M-1@F@C", "There is no course code:M-1@F@C."),
        ("M-1@F@a", "There is no course code:M-1@F@a. Did you mean code:M-1@F@A?"),
        ("m-1@f@b", "There is no course code:m-1@f@b. Did you mean code:M-1@F@B?"),
        ("M-1@S@A", "There is no course code:M-1@S@A."),
    ],
)
def test_an_unknown_section_is_not_found_with_a_suggestion(text, message):
    make_sections("M-1@F@A", "M-1@F@B")
    key = parse_course_key(text)

    refusal = courses_by_key([key])[key]

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.message) == ("course_not_found", message)


def test_a_whole_key_in_place_of_the_code_is_explained():
    make_sections("M-1@F@A")
    key = CourseKey("M-1@F@A")

    refusal = courses_by_key([key])[key]

    assert isinstance(refusal, Refusal)
    assert refusal.message == "There is no course code:M-1@F@A. Give code, term and section separately: M-1, F and A."


# The API


def test_the_api_creates_reads_and_renames_sections(api, term):
    body = {"code": "M-1", "name": "Algebra", "level": "introductory", "term": "2026F"}
    made = [api.post("/api/v1/courses", {**body, "section": name}) for name in ("A", " B ")]
    again = api.post("/api/v1/courses", {**body, "section": "A"})
    renamed = api.patch("/api/v1/courses/code:M-1@2026F@B", {"section": "C"})
    taken = api.patch("/api/v1/courses/code:M-1@2026F@C", {"section": "A"})

    assert [(answer.status_code, answer.json()["section"]) for answer in made] == [(201, "A"), (201, "B")]
    message = "This term has a course with this code and section already."
    for answer in (again, taken):
        assert answer.status_code == 409
        assert answer.json()["errors"] == [{"code": "unique", "field": "code", "message": message}]
    assert (renamed.status_code, renamed.json()["section"]) == (200, "C")
    assert [str(course.full_code) for course in Course.objects.order_by("pk")] == ["M-1@2026F@A", "M-1@2026F@C"]


@pytest.mark.parametrize(
    ("section", "code"), [("B@C", "invalid_identifier"), ("B/C", "invalid_identifier"), ("B" * 17, "max_length")]
)
def test_an_invalid_section_is_refused_by_the_api_and_by_files(api, section, code):
    body = {"code": "M-1", "name": "Algebra", "level": "introductory", "section": section}

    answer = api.post("/api/v1/courses", body)
    job = imported(f"course_code,section,name,level\nM-1,{section},Algebra,introductory\n", kind="courses")

    assert (answer.status_code, [(e["field"], e["code"]) for e in answer.json()["errors"]]) == (
        400,
        [("section", code)],
    )
    assert outcomes(job) == [(2, "error", [code])]
    assert Course.objects.count() == 0


def test_a_body_names_a_section(api):
    made = make_sections("M-1@F@A", "M-1@F@B")
    student = make_student(student_number="S-1")
    named = {"course_code": "M-1", "term": "F", "section": "B"}

    answer = api.post("/api/v1/students/number:S-1/courses", named)
    item = {"action": "drop", "student_number": "S-1", **named}
    batch = api.post("/api/v1/enrollments/batch", {"items": [item, {**item, "section": "Z"}, {**item, "section": ""}]})
    stray = api.post("/api/v1/students/number:S-1/courses", {"course_id": made["M-1@F@A"].pk, "section": "A"})

    assert (answer.status_code, answer.json()["course"]["section"]) == (201, "B")
    told = [(each["status"], each["code"]) for each in batch.json()["outcomes"]]
    assert told == [("updated", None), ("not_found", "course_not_found"), ("refused", "course_ambiguous")]
    assert (stray.status_code, stray.json()["errors"][0]["code"]) == (400, "section_of_code")
    assert list(StudentCourse.objects.values_list("student", "course", "status")) == [
        (student.pk, made["M-1@F@B"].pk, "dropped")
    ]


# Files


def test_courses_are_created_and_changed_by_section_and_undone():
    make_sections("M-1@F@A")
    text = "course_code,term,section,name,level\nM-1,F,A,New name,introductory\nM-1,F,B,Algebra,introductory\n"

    job = imported(text, kind="courses")
    again = imported(text + "M-1,F,,Plain,introductory\nM-1,F,A,Other,introductory\n", kind="courses", on_error="skip")

    assert outcomes(job) == [(2, "updated", []), (3, "created", [])]
    assert outcomes(again) == [
        (2, "unchanged", []),
        (3, "unchanged", []),
        (4, "created", []),
        (5, "error", ["duplicate_row"]),
    ]
    assert {course.full_code: course.name for course in Course.objects.all()} == {
        "M-1@F@A": "New name",
        "M-1@F@B": "Algebra",
        "M-1@F": "Plain",
    }
    call_command("undo_import", str(job.pk), stdout=io.StringIO(), stderr=io.StringIO())
    assert {course.full_code for course in Course.objects.all()} == {"M-1@F@A", "M-1@F"}


def test_rows_of_enrollments_name_sections():
    made = make_sections("M-1@F@A", "M-1@F@B", "M-2@F@A")
    student = make_student(student_number="S-1")
    text = "student_number,course_code,term,section\nS-1,M-1,F,B\nS-1,M-2,F,\nS-1,M-1,F,\nS-1,M-1,F,C\n"

    job = imported(text, on_error="skip")

    assert outcomes(job) == [
        (2, "enrolled", []),
        (3, "enrolled", []),
        (4, "error", ["course_ambiguous"]),
        (5, "error", ["course_not_found"]),
    ]
    enrolled = StudentCourse.objects.enrolled().filter(student=student).values_list("course", flat=True)
    assert set(enrolled) == {made["M-1@F@B"].pk, made["M-2@F@A"].pk}


@pytest.mark.parametrize(("scope", "kept"), [("course:M-1@F@A", {"S-1", "S-3"}), ("term:F", {"S-1"})])
def test_a_full_file_ends_what_it_does_not_list_in_its_sections(scope, kept):
    make_sections("M-1@F@A", "M-1@F@B")
    for number in ("S-1", "S-2", "S-3"):
        make_student(student_number=number)
    header = "student_number,course_code,term,section\n"
    imported(header + "S-1,M-1,F,A\nS-2,M-1,F,A\nS-3,M-1,F,B\n")

    job = worked_on(approve(imported(header + "S-1,M-1,F,A\n", mode="full", scope=scope).pk))

    assert job.state == "done"
    enrolled = StudentCourse.objects.enrolled().values_list("student__student_number", flat=True)
    assert set(enrolled) == kept


def test_exports_have_the_section_and_importing_them_changes_nothing(actor, capsys):
    made = make_sections("M-1@F@A", "M-1@F@B")
    student = make_student(student_number="S-1")
    enroll(student_id=student.pk, course_id=made["M-1@F@B"].pk, actor=actor)

    for kind, keys in (("courses", [("M-1", "F", "A"), ("M-1", "F", "B")]), ("enrollments", [("M-1", "F", "B")])):
        call_command(f"export_{kind}")
        text = capsys.readouterr().out
        rows = [(row["course_code"], row["term"], row["section"]) for row in csv.DictReader(io.StringIO(text))]
        assert rows == keys
        assert {outcome for _row, outcome, _codes in outcomes(imported(text, kind=kind))} == {"unchanged"}


# The admin


def test_the_admin_finds_a_course_by_its_key(admin_client):
    made = make_sections("M-1@F@A", "M-1@F@B", "M-1@S@B")

    def listed(text):
        page = admin_client.get("/admin/courses/course/", {"q": text, "all": "1"})
        return {course.pk for course in page.context["cl"].queryset}

    assert listed("m-1@f@b") == {made["M-1@F@B"].pk}
    assert listed("M-1@@B") == {made["M-1@F@B"].pk, made["M-1@S@B"].pk}


def test_the_admin_refuses_a_section_that_exists(admin_client):
    [course] = make_sections("M-1@F@A").values()
    form = {"code": "M-1", "name": "Algebra", "level": "introductory", "term": course.term_id, "waitlist_capacity": 0}

    refused = admin_client.post("/admin/courses/course/add/", {**form, "section": "A", "prerequisites": ""})
    made = admin_client.post("/admin/courses/course/add/", {**form, "section": "B", "prerequisites": ""})

    assert refused.context["errors"] == [["This term has a course with this code and section already."]]
    assert (made.status_code, Course.objects.count()) == (302, 2)


# OneRoster


def test_a_class_of_oneroster_shows_its_section_and_a_change_of_it():
    [course] = make_sections("M-1@F@A").values()
    publish()
    before = list(ClassRecord.objects.values_list("title", "code"))

    Course.objects.filter(pk=course.pk).update(section="B")
    publish()

    assert before == [("A course (A)", "M-1@F@A")]
    assert list(ClassRecord.objects.values_list("title", "code")) == [("A course (B)", "M-1@F@B")]


def test_classes_with_class_codes_of_school_are_imported_into_their_sections():
    made = make_sections("M-1@F@A", "M-1@F@B", "M-2@F")
    make_student(student_number="S-1")
    classes = (
        "sourcedId,title,courseSourcedId,classCode,termSourcedIds\n"
        "c-1,A course (A),m1,M-1@F@A,F\nc-2,Renamed (B),m1,M-1@F@B,F\nc-3,A course,m2,M-2@F,F\n"
        "c-4,New (C),m1,M-1@F@C,F\n"
    )
    enrollments = "userSourcedId,classSourcedId,role\nS-1,c-2,student\n"

    packed = zipped_as({"classes.csv": classes, "enrollments.csv": enrollments})
    job = imported_zip(packed, options={"level": "introductory"})

    assert job.state == "done"
    names = {course.full_code: course.name for course in Course.objects.all()}
    assert names == {"M-1@F@A": "A course", "M-1@F@B": "Renamed", "M-2@F": "A course", "M-1@F@C": "New"}
    assert [each.course_id for each in StudentCourse.objects.all()] == [made["M-1@F@B"].pk]


# Migrations


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only on SQLite a migration builds a table anew")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("model", "name", "count"), [(Course, "code", 3), (EnrollmentEvent, "request_id", 2)])
def test_migrations_on_sqlite_keep_the_triggers_of_tables_that_they_build_anew(model, name, count):
    field = model._meta.get_field(name)
    longer = field.clone()
    longer.max_length += 1
    longer.set_attributes_from_name(name)
    before = definitions(model._meta.db_table)

    with connection.schema_editor() as editor:
        editor.alter_field(model, field, longer)
    altered = definitions(model._meta.db_table)
    with connection.schema_editor() as editor:
        editor.alter_field(model, longer, field)

    assert len(before["trigger"]) == count
    assert altered["trigger"] == before["trigger"]
    assert altered["table"] != before["table"]


def definitions(table):
    """Return the SQL of a table and of its triggers, as SQLite has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT type, sql FROM sqlite_master WHERE tbl_name = %s ORDER BY name", [table])
        rows = cursor.fetchall()
    return {kind: [sql for each, sql in rows if each == kind] for kind in ("table", "trigger")}


def test_importing_a_section_is_recorded(term):
    job = imported("course_code,term,section,name,level\nM-1,2026F,B,Algebra,introductory\n", kind="courses")

    assert Import.objects.get(pk=job.pk).state == "done"
    assert list(Course.history.values_list("section", "history_change_reason")) == [("B", f"import {job.pk}")]
