"""Exports: what a command or a list of the admin exports can be imported again, and changes nothing."""

import csv
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk.importers.import_parts import parts_of
from bulk.jobs.import_actions import start_undo
from bulk.models import Import, ImportChannel
from bulk.reports import Report
from courses.imports import CourseImporter
from courses.meetings import parse_meetings
from courses.models import Course, Level, Term
from school.access.access_log import Door
from school.identifiers import identifier_fault
from school.models import PersonalDataAccess
from school.text_normalization import is_plain, normalized
from students.enrollment import drop, enroll
from students.models import EnrollmentEvent, Student, StudentCourse
from students.privacy import erase, find_person
from tests.bulk.test_zips import imported as import_zip
from tests.bulk.test_zips import zipped_as
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import imported as import_text
from tests.support.imports import outcomes, worked_on
from tools.fuzz import examples

pytestmark = pytest.mark.django_db

KINDS = ("terms", "students", "courses", "enrollments")
UNUSUAL = [
    'Robert "Bob"',
    '"quoted"',
    "'t Hooft",
    "''",
    "=1+1",
    "-Li",
    "+49",
    "@home",
    "a;=1",
    "a, -b",
    "\uff1d1",
    "'007",
    "007",
    '="1"',
    "a, b; c",
    "\u674e",
    "Zoe\u0308",
    "\U0001f469\u200d\U0001f393",
    "\u05d0\u05d1 a",
    "a\u00a0b",
    "sep=;",
    "---",
    "name",
]


def texts(size, *, blank=False):
    free = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"]), max_size=size)
    kept = (st.sampled_from(UNUSUAL) | free).map(lambda text: normalized(text)[:size].strip())
    usable = kept.filter(
        lambda text: is_plain(text) and normalized(text) == text and not set(text) & {"\ufffc", "\ufffd"}
    )
    usable = usable.filter(lambda text: not text.startswith("#"))
    return usable if blank else usable.filter(bool)


def identifiers(size):
    known = ["007", "'7", "S 1", "a,b", "+5", "-x", "A;B", "\u00c4B-1", 'a"b', "=", "x-1"]
    found = st.sampled_from(known) | texts(size)
    return found.map(lambda text: text[:size].strip()).filter(lambda text: text and identifier_fault(text) is None)


DAYS = st.dates(date(1990, 1, 1), date(2100, 1, 1))
INSTANTS = st.none() | st.integers(0, 10**15).map(
    lambda n: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(microseconds=n)
)
CREDITS = st.none() | st.decimals(0, "999.99", places=2)
LIMITS = st.sampled_from([None, 0, 1, 30, 2**31 - 1])


@st.composite
def course_values(draw, code, term, section, prerequisites):
    opens_at = draw(INSTANTS)
    return {
        "code": code,
        "term": term,
        "section": section,
        "name": draw(texts(200)),
        "level": draw(st.sampled_from(Level.values)),
        "capacity": draw(LIMITS),
        "waitlist_capacity": draw(LIMITS),
        "enrollment_opens_at": opens_at,
        "enrollment_closes_at": draw(st.sampled_from([None, opens_at and opens_at + timedelta(hours=1)])),
        "prerequisites": prerequisites,
        "corequisites": [each for each in prerequisites if isinstance(each, str) and each != code],
        "credits": draw(CREDITS),
        "meetings": parse_meetings(draw(st.sampled_from(["", "mon 9:00-10:00 R12; fri 8:00-9:00 2026-09-01.."]))),
        "is_active": draw(st.booleans()),
    }


@st.composite
def worlds(draw):
    """Return terms, courses with prerequisites, and students, as values of models."""
    terms = [
        {
            "code": code,
            "name": draw(texts(200)),
            "starts_on": day,
            "ends_on": day + timedelta(days=draw(st.integers(0, 99))),
            "max_credits": draw(CREDITS),
        }
        for code, day in draw(st.dictionaries(identifiers(32), DAYS, max_size=3)).items()
    ]
    for term in terms:
        term["drop_deadline"] = draw(st.none() | st.dates(term["starts_on"], term["ends_on"]))
        term["census_on"] = draw(st.none() | st.dates(term["starts_on"], term["ends_on"]))
    codes = draw(st.lists(identifiers(64), min_size=1, max_size=4, unique=True))
    courses = []
    for place, code in enumerate(codes):
        in_terms = st.sampled_from([None, *(term["code"] for term in terms)])
        offered = draw(st.sets(st.tuples(in_terms, st.just("") | identifiers(16)), min_size=1, max_size=4))
        required = draw(st.lists(st.sampled_from(codes[:place]), unique=True)) if place else []
        courses += [draw(course_values(code, term, section, required)) for term, section in sorted(offered, key=str)]
    students = [
        {
            "student_number": number,
            "given_name": draw(texts(150)),
            "family_name": draw(texts(150, blank=True)),
            "email": draw(st.sampled_from(["", f"s{place}@x.example"])),
            "max_credits": draw(CREDITS),
            "is_active": draw(st.booleans()),
        }
        for place, number in enumerate(draw(st.lists(identifiers(64), max_size=4, unique=True)))
    ]
    return terms, courses, students


def build(world):
    terms, courses, students = world
    made = {each["code"]: Term.objects.create(**each) for each in terms}
    for each in courses:
        Course.objects.create(**{**each, "term": made.get(each["term"])})
    for each in students:
        Student.objects.create(**each)
    choices = ("enrolled", "dropped", "withdrawn", "completed")
    pairs = [(student, course) for student in Student.objects.all() for course in Course.objects.all()]
    for place, (student, course) in enumerate(pairs):
        status = "waitlisted" if course.capacity == 0 else choices[place % len(choices)]
        StudentCourse.objects.create(
            student=student,
            course=course,
            status=status,
            grade=normalized(UNUSUAL[place % len(UNUSUAL)]) if status == "completed" else "",
            enrolled_on=date(2026, 9, 1) if status != "waitlisted" else None,
            ended_on=date(2026, 10, 1) if status not in ("enrolled", "waitlisted") else None,
            waitlisted_at=datetime(2026, 9, 1, tzinfo=UTC) if status == "waitlisted" else None,
        )


def content():
    """Return all that the files describe."""
    columns: dict[Any, tuple[str, ...]] = {
        Term: ("code", "name", "starts_on", "ends_on", "drop_deadline", "census_on", "max_credits"),
        Student: ("student_number", "given_name", "family_name", "email", "max_credits", "is_active"),
        Course: ("code", "term__code", "section", "name", "level", *CourseImporter.fields[2:]),
    }
    return {model.__name__: sorted(model.objects.values_list(*names), key=repr) for model, names in columns.items()}


def rows_in(file):
    with file.open(encoding="utf-8", newline="") as stream:
        return len(list(csv.reader(stream))) - 1


def exported(kind, folder, **options):
    target = folder / f"{kind}.csv"
    call_command(f"export_{kind}", output=str(target), **options)
    return target


def imported(kind, file, **options):
    """Import a file; return the counts of its outcomes."""
    with suppress(CommandError, SystemExit):
        call_command(f"import_{kind}", str(file), again=True, **options)
    job = Import.objects.latest("pk")
    return job.counts, [problem["message"] for problem in job.problems]


@settings(max_examples=examples(5), deadline=None)
@given(worlds())
def test_importing_an_export_changes_nothing(tmp_path_factory, world):
    folder = tmp_path_factory.mktemp("files")
    with transaction.atomic():
        build(world)
        files = {kind: exported(kind, folder) for kind in KINDS}
        sizes = {kind: rows_in(file) for kind, file in files.items()}
        events, before = EnrollmentEvent.objects.count(), content()

        counts = {kind: imported(kind, files[kind]) for kind in KINDS}

        assert counts == {kind: ({"unchanged": sizes[kind]} if sizes[kind] else {}, []) for kind in KINDS}
        assert (EnrollmentEvent.objects.count(), content()) == (events, before)
        transaction.set_rollback(True)


@settings(max_examples=examples(5), deadline=None)
@given(worlds())
def test_an_empty_database_that_imports_the_exports_has_the_same_content(tmp_path_factory, world):
    folder = tmp_path_factory.mktemp("files")
    with transaction.atomic():
        build(world)
        files = {kind: exported(kind, folder) for kind in KINDS[:3]}
        before = content()
        for model in (StudentCourse, Student, Course, Term):
            model.objects.all().delete()

        problems = [imported(kind, files[kind])[1] for kind in KINDS[:3]]

        assert (problems, content()) == ([[], [], []], before)
        transaction.set_rollback(True)


# Lists of the admin


def lines_of(desk, address):
    answer = desk.get(f"/admin/{address}")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()


@pytest.fixture
def fall(actor):
    """Two courses, of which one is in a term, with the same student."""
    term = make_term(code="2026F", name="Fall", starts_on="2026-09-01", ends_on="2099-12-31")
    student = make_student(student_number="S-1", given_name="Ada", family_name="=1", email="")
    for course in (make_course(code="M-1", term=term, capacity=5), make_course(code="M-2")):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        drop(student_id=student.pk, course_id=course.pk, actor=actor)
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    Course.objects.filter(code="M-2").update(prerequisites=["M-1"])
    make_student(student_number="S-2", given_name="Bob", family_name="Byron", email="", is_active=False)
    return term


COURSE_HEADER = (
    "course_code,term,section,name,level,capacity,waitlist_capacity,enrollment_opens_at,enrollment_closes_at,prerequisites,"
    "credits,meetings,corequisites,is_active"
)
FALL = ["term,name,starts_on,ends_on,drop_deadline,census_on,max_credits", "2026F,Fall,2026-09-01,2099-12-31,,,"]
STUDENT_HEADER = "student_number,given_name,family_name,email,max_credits,is_active"
ENROLLMENT_HEADER = "student_number,course_code,term,section,status,grade,reason"


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        ("courses/term/export/", FALL),
        ("courses/term/export/?q=none", FALL[:1]),
        ("courses/course/export/?q=M-1", [COURSE_HEADER, "M-1,2026F,,A course,introductory,5,0,,,,,,,true"]),
        ("courses/course/export/?q=M-2", [COURSE_HEADER, "M-2,,,A course,introductory,,0,,,M-1,,,,true"]),
        ("students/student/export/?is_active__exact=1", [STUDENT_HEADER, "S-1,Ada,'=1,,,true"]),
        ("students/student/export/?q=Bob", [STUDENT_HEADER, "S-2,Bob,Byron,,,false"]),
        ("students/studentcourse/export/?q=M-1", [ENROLLMENT_HEADER, "S-1,M-1,2026F,,enrolled,,"]),
        ("students/studentcourse/export/?status__exact=dropped", [ENROLLMENT_HEADER]),
    ],
)
def test_a_list_of_the_admin_is_exported_with_its_filters(fall, registrar_client, address, lines):
    assert lines_of(registrar_client, address) == lines


def test_the_button_of_a_list_exports_with_the_filters_of_the_page(fall, registrar_client):
    page = registrar_client.get("/admin/students/student/?q=Ada&is_active__exact=1").content.decode()

    assert "/admin/students/student/export/?q=Ada&amp;is_active__exact=1" in page


def test_an_export_of_a_list_with_an_invalid_filter_shows_the_list(fall, registrar_client):
    answer = registrar_client.get("/admin/students/student/export/?is_active__exact=maybe")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/students/student/?e=1")


def test_the_record_of_access_has_exports_of_personal_data_by_lists(fall, registrar, registrar_client):
    for address in ("courses/term", "courses/course", "students/student", "students/studentcourse"):
        lines_of(registrar_client, f"{address}/export/")

    recorded = PersonalDataAccess.objects.order_by("pk").values_list("actor", "action", "subject", "door", "scope")
    assert list(recorded) == [
        (registrar.pk, "exported", "students", "admin", ""),
        (registrar.pk, "exported", "enrollments", "admin", ""),
    ]


# Commands


@pytest.mark.parametrize(
    ("kind", "options", "lines"),
    [
        ("terms", {}, FALL),
        ("courses", {"term": "2026F"}, [COURSE_HEADER, "M-1,2026F,,A course,introductory,5,0,,,,,,,true"]),
        ("students", {"term": "2026F"}, [STUDENT_HEADER, "S-1,Ada,'=1,,,true"]),
        ("enrollments", {"term": "2026F"}, [ENROLLMENT_HEADER, "S-1,M-1,2026F,,enrolled,,"]),
    ],
)
def test_a_command_exports_all_rows_or_those_of_a_term(fall, capsys, kind, options, lines):
    call_command(f"export_{kind}", **options)

    said = capsys.readouterr()
    assert (said.out.splitlines(), said.err) == (lines, f"{len(lines) - 1} rows exported.\n")


def test_the_record_of_access_has_the_actor_and_the_term_of_an_export(fall, registrar):
    call_command("export_students", term="2026F", actor="registrar")
    call_command("export_courses")

    recorded = PersonalDataAccess.objects.values_list("actor", "subject", "door", "scope")
    assert list(recorded) == [(registrar.pk, "students", "command", "2026F")]


def test_an_erased_student_is_not_exported(fall, capsys):
    student = Student.objects.get(student_number="S-2")
    erase(find_person("S-2"), reason="asked", door=Door.COMMAND)

    call_command("export_students")

    assert capsys.readouterr().out.splitlines() == [STUDENT_HEADER, "S-1,Ada,'=1,,,true"]
    assert Student.objects.filter(pk=student.pk).exists()


@pytest.mark.parametrize("kind", ["courses", "students", "enrollments"])
def test_an_export_of_an_unknown_term_writes_no_file(tmp_path, kind):
    target = tmp_path / "out.csv"

    with pytest.raises(CommandError, match=r"^There is no term 2099F\.$"):
        call_command(f"export_{kind}", term="2099F", output=str(target))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 30])
def test_the_queries_of_an_export_do_not_grow_with_its_rows(size, tmp_path):
    for _ in range(size):
        make_student()
    with CaptureQueriesContext(connection) as queries:
        exported("students", tmp_path)

    assert len([query for query in queries if "students_student" in query["sql"]]) == 1


# Imports of terms, and of prerequisites


TERMS = FALL[0] + "\n"


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("2026/F,Fall,2026-09-01,2026-12-31,", "invalid_identifier"),
        ("2026F,,2026-09-01,2026-12-31,", "blank"),
        ("2026F,Fall,2026-09-31,2026-12-31,", "invalid_date"),
        ("2026F,Fall,2026-09-01,2026-08-31,", "dates_reversed"),
        ("2026F,Fall,2026-09-01,2026-12-31,2027-01-01", "drop_deadline_outside_term"),
        ("2026F,Fall,1026-09-01,2026-12-31,", "year_out_of_range"),
    ],
)
def test_an_invalid_term_is_reported_and_the_others_are_created(row, error):
    job = import_text(f"{TERMS}{row}\n2027S,Spring,2027-02-01,2027-06-30,2027-03-01\n", kind="terms", on_error="skip")

    assert outcomes(job) == [(2, "error", [error]), (3, "created", [])]
    assert [str(term) for term in Term.objects.all()] == ["2027S"]


def test_an_import_of_terms_is_undone_except_for_terms_with_courses():
    make_term(code="2026F", name="Old", starts_on="2026-09-01", ends_on="2026-12-31")
    job = import_text(
        f"{TERMS}2026F,Fall,2026-09-01,2026-12-31,\n2027S,A,2027-02-01,2027-06-30,\n2027F,B,2027-09-01,2027-12-31,\n",
        kind="terms",
    )
    make_course(term=Term.objects.get(code="2027S"))

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="r"))

    assert outcomes(job) == [(2, "updated", []), (3, "created", []), (4, "created", [])]
    assert undo.counts == {"reversed": 2, "kept": 1}
    assert sorted(Term.objects.values_list("code", "name")) == [("2026F", "Old"), ("2027S", "A")]


def test_a_zip_may_have_the_terms_of_its_courses():
    courses = "course_code,term,name,level\nM-1,2026F,Algebra,introductory\n"
    job = import_zip(zipped_as({"terms.csv": "\n".join(FALL), "courses.csv": courses}))

    assert (job.state, job.counts) == ("done", {"created": 2})
    assert Course.objects.get().full_code == "M-1@2026F"


def test_the_terms_of_canvas_in_a_zip_are_ignored_with_a_warning():
    terms = "term_id,name,status,start_date,end_date\n2026F,Fall,active,,\n"
    courses = "course_code,name,level\nM-1,Algebra,introductory\n"
    job = import_zip(zipped_as({"terms.csv": terms, "courses.csv": courses}))

    assert (job.state, job.counts, Term.objects.count()) == ("done", {"created": 1}, 0)
    assert [warning["code"] for warning in job.warnings] == ["unread_files"]


PREREQUISITES = "course_code,name,level,prerequisites\n"


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_a_course_may_require_a_later_row_of_its_file(on_error):
    job = import_text(
        f'{PREREQUISITES}C,A,graduate,"B, A"\nB,A,graduate,A\nA,A,graduate,\n', kind="courses", on_error=on_error
    )

    assert job.counts == {"created": 3}
    assert dict(Course.objects.values_list("code", "prerequisites")) == {"A": [], "B": ["A"], "C": ["B", "A"]}


def test_rows_with_unknown_prerequisites_or_a_cycle_are_refused_and_so_are_rows_that_need_them():
    make_course(code="OLD", prerequisites=["X"])
    rows = [
        "A,A,graduate,NONE",
        "B,A,graduate,A",
        "C,A,graduate,D",
        "D,A,graduate,C",
        "X,A,graduate,OLD",
        "Y,A,graduate,OLD",
    ]
    job = import_text(PREREQUISITES + "\n".join(rows), kind="courses", on_error="skip")

    assert outcomes(job) == [
        (2, "error", ["course_not_found"]),
        (3, "error", ["course_not_found"]),
        (4, "error", ["prerequisite_cycle"]),
        (5, "error", ["prerequisite_cycle"]),
        (6, "error", ["prerequisite_cycle"]),
        (7, "created", []),
    ]
    [part] = parts_of(job)
    messages = [result.errors[0][2] for _raw, result in Report(job, part).rows() if result.errors]
    assert messages[2] == "These courses would be prerequisites of themselves: C ← D ← C."


def test_an_empty_cell_is_no_limit_and_a_missing_column_is_the_default():
    import_text("course_code,name,level,waitlist_capacity\nA,A,graduate,\n", kind="courses")
    import_text("course_code,name,level\nB,B,graduate\n", kind="courses")

    assert dict(Course.objects.values_list("code", "waitlist_capacity")) == {"A": None, "B": 0}
