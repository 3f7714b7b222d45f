"""Zips with ids and codes from one small pool: each enrollment is in the right course, or its row is reported."""

import io
from collections import defaultdict
from typing import NamedTuple

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bulk.importers import base, import_parts
from bulk.importers.import_parts import parts_of
from bulk.models import OnError
from bulk.reports import Report
from students.models import StudentCourse
from tests.bulk.test_zips import imported, zipped_as
from tests.support.factories import make_course, make_student, make_term
from tools.fuzz import examples

pytestmark = pytest.mark.django_db

POOL = ("A", "B", "a")
STUDENTS = tuple(f"u-{n}" for n in range(4))
names = st.sampled_from(POOL)
days = st.sampled_from([("2026-08-24", "2026-12-18"), ("2027-01-10", "2027-05-20")])


class Class(NamedTuple):
    """A class of OneRoster, or a course of Canvas."""

    id: str
    code: str
    term: str


class Session(NamedTuple):
    id: str
    title: str
    days: tuple[str, str]


class World(NamedTuple):
    """The rows of School before the import: terms by code with name and dates, and courses by code and term."""

    terms: dict[str, tuple[str, tuple[str, str]]]
    courses: set[tuple[str, str]]


pairs = {(code, term) for code in POOL for term in ("", *POOL)}
some_pairs = st.sets(st.sampled_from(sorted(pairs)), max_size=3)
worlds = st.builds(
    World,
    st.fixed_dictionaries({"A": st.tuples(names, days)}, optional={"B": st.tuples(names, days)}),
    some_pairs | some_pairs.map(pairs.difference),
)
codes, terms = st.sampled_from(["", "A", "B"]), st.sampled_from(["", "A", "B"])
classes = st.lists(st.builds(Class, names, codes, terms), min_size=1, max_size=4)
sessions = st.none() | st.lists(st.builds(Session, names, names, days), max_size=4)
references = st.lists(names, min_size=len(STUDENTS), max_size=len(STUDENTS))


@pytest.fixture
def tiny_chunks(monkeypatch):
    for module in (base, import_parts):
        monkeypatch.setattr(module, "CHUNK_SIZE", 2)


def prepare(world):
    terms = {
        code: make_term(code=code, name=name, starts_on=first, ends_on=last)
        for code, (name, (first, last)) in world.terms.items()
    }
    for code, term in world.courses:
        if not term or term in terms:
            make_course(code=code, term=terms.get(term), name="Of School", capacity=None)
    for number in STUDENTS:
        make_student(student_number=number)


def term_meant(name, world, known):
    """Return the code of the term that a class refers to, or None for no term or several."""
    if known is None or not name:
        return name if not name or name in world.terms else None
    meant = {each for each in known if each.id == name}
    if len(meant) != 1:
        return None
    [session] = meant
    fits = [
        code
        for code, (title, (first, last)) in world.terms.items()
        if (code in (session.id, session.title) or title == session.title)
        and first <= session.days[1]
        and session.days[0] <= last
    ]
    return fits[0] if len(fits) == 1 else None


def courses_meant(offered, world, known):
    """Return the course of each class id that refers to exactly one course."""
    found, faulty = defaultdict(set), set()
    for each in offered:
        term = term_meant(each.term, world, known)
        if term is None:
            faulty.add(each.id)
        found[each.id].add((each.code or each.id, term))
    owners = defaultdict(set)
    for name, courses in found.items():
        for course in courses:
            owners[course].add(name)
    return {
        name: next(iter(courses))
        for name, courses in found.items()
        if name not in faulty and len(courses) == 1 and len(owners[next(iter(courses))]) == 1
    }


def offering_meant(name, offered, world, default):
    """Return the course, with its title, of a code without a term; None for no course or several."""
    terms = {each.term for each in offered if each.id == name}
    title = f"Class {name}" if terms else "Of School"
    there = {term for code, term in world.courses if code == name and (not term or term in world.terms)}
    for term in (default, "") if terms or not default else (default,):
        if term in (terms or there):
            return (name, term, title) if not term or term in world.terms else None
    if len(terms or there) != 1 or (default and not terms):
        return None
    [term] = terms or there
    return (name, term, title) if term in world.terms else None


def enrolled_courses():
    enrolled = StudentCourse.objects.open().values_list(
        "student__student_number", "course__code", "course__term__code", "course__name"
    )
    return {number: (code, term or "", name) for number, code, term, name in enrolled}


def stored_results(job, kind):
    [part] = [part for part in parts_of(job) if part.name == kind]
    return [row.result for row in Report(job, part).rows()]


def with_titles(courses):
    return {name: (*course, f"Class {name}") for name, course in courses.items()}


def check(job, given_references, meant):
    """Every row is applied to its course, with the title of that course's row, or is reported with its field."""
    expected = {number: meant[name] for number, name in zip(STUDENTS, given_references, strict=True) if name in meant}
    assert enrolled_courses() == expected
    rows = stored_results(job, "enrollments")
    assert [row.number for row in rows] == [*range(2, len(STUDENTS) + 2)]
    for row, number in zip(rows, STUDENTS, strict=True):
        assert row.outcome == ("enrolled" if number in expected else "error")
        for _code, field, message in row.errors:
            assert (field in ("course_code", "term"), message.startswith("enrollments.csv: ")) == (True, True)


def table(header, rows):
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def import_zip(files, **options):
    options = {"level": "introductory", **options}
    return imported(io.BytesIO(zipped_as(files).read()), on_error=OnError.SKIP, options=options)


@given(world=worlds, offered=classes, known=sessions, given_references=references)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_oneroster_enrollment_is_in_the_course_of_its_class_or_its_row_is_reported(
    tiny_chunks, world, offered, known, given_references
):
    with transaction.atomic():
        prepare(world)
        files = {
            "classes.csv": table(
                "sourcedId,title,classCode,termSourcedIds", [(c.id, f"Class {c.id}", c.code, c.term) for c in offered]
            ),
            "enrollments.csv": table(
                "classSourcedId,userSourcedId,role",
                [(name, number, "student") for name, number in zip(given_references, STUDENTS, strict=True)],
            ),
        }
        if known is not None:
            rows = [(each.id, each.title, *each.days) for each in known]
            files["academicSessions.csv"] = table("sourcedId,title,startDate,endDate", rows)

        job = import_zip(files)

        check(job, given_references, with_titles(courses_meant(offered, world, known)))
        transaction.set_rollback(True)


@given(
    world=worlds,
    offered=classes,
    sections=st.dictionaries(names, names),
    given_references=references,
    by_section=st.lists(st.booleans(), min_size=len(STUDENTS), max_size=len(STUDENTS)),
)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_canvas_enrollment_is_in_the_course_of_its_id_or_its_row_is_reported(
    tiny_chunks, world, offered, sections, given_references, by_section
):
    with transaction.atomic():
        prepare(world)
        rows = [
            ("" if is_section else name, number, name if is_section else "")
            for name, number, is_section in zip(given_references, STUDENTS, by_section, strict=True)
        ]
        files = {
            "courses.csv": table(
                "course_id,course_code,long_name,term_id", [(c.id, c.code, f"Class {c.id}", c.term) for c in offered]
            ),
            "sections.csv": table("section_id,course_id", sections.items()),
            "enrollments.csv": table("course_id,user_id,section_id", rows),
        }

        job = import_zip(files)

        named = [
            sections.get(name, "") if is_section else name
            for name, is_section in zip(given_references, by_section, strict=True)
        ]
        check(job, named, with_titles(courses_meant(offered, world, None)))
        transaction.set_rollback(True)


@given(
    world=worlds,
    offered=classes,
    headers=st.sampled_from(
        [("course_code", "course_code"), ("course_id", "course_id"), ("sourcedId", "classSourcedId")]
    ),
    default=st.sampled_from(["", *POOL]),
    given_references=references,
)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_an_enrollment_by_code_is_in_the_offering_of_the_zip_or_its_row_is_reported(
    tiny_chunks, world, offered, headers, default, given_references
):
    default = default if default in world.terms else ""
    of_courses, of_enrollments = headers
    with transaction.atomic():
        prepare(world)
        files = {
            "courses.csv": table(f"{of_courses},name,term", [(c.id, f"Class {c.id}", c.term) for c in offered]),
            "enrollments.csv": table(f"{of_enrollments},student_number", zip(given_references, STUDENTS, strict=True)),
        }

        job = import_zip(files, term=default)

        meant = {name: offering_meant(name, offered, world, default) for name in POOL}
        check(job, given_references, {name: course for name, course in meant.items() if course})
        transaction.set_rollback(True)
