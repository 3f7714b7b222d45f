"""Database constraints of courses, terms and grades."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError

from courses.models import CourseStaff
from tests.support.factories import make_course, make_grade, make_term

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        # A field of positive numbers has its own check, which is evaluated first on SQLite.
        ("course_capacity_is_not_negative|failed: capacity", {"capacity": -1}),
        ("course_waitlist_capacity_is_not_negative|failed: waitlist_capacity", {"waitlist_capacity": -1}),
        (
            "course_enrollment_closes_after_it_opens",
            {"enrollment_opens_at": "2026-09-01T00:00Z", "enrollment_closes_at": "2026-09-01T00:00Z"},
        ),
        ("course_level_is_known", {"level": "nursery"}),
    ],
)
def test_the_database_refuses_invalid_courses(name, fields):
    with pytest.raises(IntegrityError, match=name):
        make_course(**fields)


def test_the_database_refuses_a_term_that_ends_before_it_starts():
    with pytest.raises(IntegrityError, match="term_ends_after_it_starts"):
        make_term(starts_on="2026-09-02", ends_on="2026-09-01")


@pytest.mark.parametrize("day", ["2026-08-31", "2027-02-01"])
def test_a_census_day_lies_within_its_term(api, registrar_client, day):
    dates = {"starts_on": "2026-09-01", "ends_on": "2027-01-31", "census_on": day}

    answer = api.post("/api/v1/terms", {"code": "2026F", "name": "Fall", **dates}, format="json")
    page = registrar_client.post("/admin/courses/term/add/", {"code": "2026F", "name": "Fall", **dates})

    assert [each["code"] for each in answer.json()["errors"]] == ["census_outside_term"]
    assert "The census day must lie between" in page.content.decode()
    with pytest.raises(IntegrityError, match="term_census_is_within_its_dates"):
        make_term(**dates)


def test_the_database_refuses_a_duplicate_code_in_a_term():
    term = make_term()
    make_course(code="C-1", term=term)
    make_course(code="C-1", term=make_term())

    with pytest.raises(IntegrityError):
        make_course(code="C-1", term=term)


def test_the_database_refuses_a_duplicate_code_without_a_term():
    make_course(code="C-1", term=make_term())
    make_course(code="C-1")

    with pytest.raises(IntegrityError):
        make_course(code="C-1")


@pytest.mark.parametrize("in_term", [True, False])
def test_the_database_refuses_a_duplicate_section(in_term):
    term = make_term() if in_term else None
    for section in ("", "A", "B"):
        make_course(code="C-1", term=term, section=section)

    with pytest.raises(IntegrityError):
        make_course(code="C-1", term=term, section="B")


def test_the_database_refuses_a_duplicate_member_of_the_course_staff():
    course, teacher = make_course(), User.objects.create_user("teacher")
    CourseStaff.objects.create(course=course, user=teacher)

    with pytest.raises(IntegrityError):
        CourseStaff.objects.create(course=course, user=teacher)


def test_the_database_refuses_two_grades_with_one_rank():
    make_grade(code="A", rank=4)
    assert [make_grade(code=code).rank for code in "PQ"] == [None, None]

    with pytest.raises(IntegrityError, match=r"grade_rank_is_unique|courses_grade.rank"):
        make_grade(code="B", rank=4)


def test_the_database_refuses_a_negative_rank():
    with pytest.raises(IntegrityError, match=r"course_grade_rank_is_not_negative|failed: rank"):
        make_grade(code="A", rank=-1)
