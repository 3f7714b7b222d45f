"""Parallel enrollments of one student in two sections of a course, on both databases: exactly one succeeds."""

import os
from contextlib import nullcontext

import pytest
from django.db import connection
from rest_framework.test import APIClient

from courses.models import Course
from school.db.compiled_queries import PreparedQuery
from school.refusals import Refused
from students.enrollment import enroll, other_courses_loading
from students.enrollment.actor_context import ActorContext
from students.models import Channel, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.races import BackgroundCall, a_lock_is_waited_for, race, uncommitted
from tests.support.separate_databases import SeparateDatabases

ROUNDS = int(os.environ.get("SECTION_ROUNDS", "50"))  # stress.races sets 200
ORIGIN = ActorContext(Channel.SYSTEM)

pytestmark = pytest.mark.django_db(transaction=True)
only_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")


@pytest.fixture
def each_on_its_connection(tmp_path):
    """A context in which a thread has its own connection. On SQLite it is to a file, which threads can share."""
    if connection.vendor == "postgresql":
        return nullcontext
    databases = SeparateDatabases(tmp_path)
    name = databases.migrated()
    return lambda: databases.use(name)


def race_for_a_section(rounds, own_connection=nullcontext):
    """Return in how many sections of a course a student is enrolled after each round."""
    student, term = make_student(), make_term()
    courses = [[make_course(code=f"C-{n}", term=term, section=each) for each in ("", "B")] for n in range(rounds)]
    codes: list[tuple[str, ...]] = []

    def act(runner, number):
        try:
            with own_connection():
                enroll(student_id=student.pk, course_id=courses[number][runner].pk, actor=ORIGIN)
        except Refused as refused:
            codes.append(tuple(refusal.code for refusal in refused.refusals))

    race(act, rounds, runners=2)
    assert set(codes) <= {("other_section",)}
    return [StudentCourse.objects.enrolled().filter(course__in=each).count() for each in courses]


def test_parallel_enrollments_in_two_sections_leave_exactly_one(each_on_its_connection):
    with each_on_its_connection():
        assert race_for_a_section(ROUNDS, each_on_its_connection) == [1] * ROUNDS


@only_postgresql
def test_without_the_lock_of_the_student_both_sections_are_taken(monkeypatch):
    """The test above can fail: without the lock a student is in both sections within a few rounds."""
    without = PreparedQuery(lambda ids: Student.objects.filter(pk__any_of=ids).values_list("pk", "max_credits"))
    monkeypatch.setattr(other_courses_loading, "LOCK_FOR_OTHER_COURSES", without)

    assert max(race_for_a_section(ROUNDS)) > 1


@only_postgresql
@pytest.mark.parametrize("method", ["post", "patch"])
def test_a_section_is_added_only_after_enrollments_that_have_not_seen_it(api, method):
    """An enrollment that has seen no other section has not locked the student, so a new section waits for it."""
    course, student = make_course(code="M-1"), make_student()
    other = make_course(code="M-2", section="B")
    token = api._credentials["HTTP_AUTHORIZATION"]

    def add_section():
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        body = {"code": "M-1", "name": "Algebra", "level": "introductory", "section": "B"}
        if method == "post":
            return client.post("/api/v1/courses", body)
        return client.patch(f"/api/v1/courses/{other.pk}", {"code": "M-1"})

    with uncommitted(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)):
        adding = BackgroundCall(add_section)
        assert a_lock_is_waited_for()
    adding.join()

    assert adding.result.status_code in (200, 201)
    section = Course.objects.get(code="M-1", section="B")
    with pytest.raises(Refused) as refused:
        enroll(student_id=student.pk, course_id=section.pk, actor=ORIGIN)
    assert [refusal.code for refusal in refused.value.refusals] == ["other_section"]
