"""Database constraints of courses and terms."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError

from courses.models import CourseStaff
from tests.support.factories import make_course, make_term

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


def test_the_database_refuses_a_duplicate_member_of_the_course_staff():
    course, teacher = make_course(), User.objects.create_user("teacher")
    CourseStaff.objects.create(course=course, user=teacher)

    with pytest.raises(IntegrityError):
        CourseStaff.objects.create(course=course, user=teacher)
