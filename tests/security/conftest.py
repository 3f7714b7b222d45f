"""Rows that the tests of costs address."""

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User

from courses.api_client_creation import create_api_client
from courses.models import CourseStaff, Grade
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import RefusedAct
from tests.support.factories import make_course, make_grades, make_hold, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported
from webhooks.models import Endpoint
from webhooks.signing_secrets import encrypt, new_secret


@pytest.fixture
def path_values(actor: ActorContext) -> dict[str, str]:
    """Make one row of each kind, and return their keys for paths."""
    student, course, term = make_student(), make_course(), make_term()
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=actor).enrollment
    assert enrollment is not None
    job = imported(ENROLLMENTS)
    create_api_client("program", "students:read", terms=[term.code])
    CourseStaff.objects.create(course=course, user=User.objects.latest("pk"))
    AccessAttempt.objects.create(username="x", ip_address="127.0.0.1", failures_since_start=1)
    RefusedAct.objects.create(
        student=student, course=course, action="enroll", channel="api", codes="course_full", day="2026-09-01"
    )
    make_grades()
    make_hold(student)
    Endpoint.objects.create(
        pk=job.pk, url="https://hooks.example/", kinds=["enrollments"], secret=encrypt(new_secret())
    )
    keys = {"student_id": student.pk, "course_id": course.pk, "term_id": term.pk, "id": job.pk}
    return {**{name: f"{key}" for name, key in keys.items()}, "grade_id": f"{Grade.objects.latest('pk').pk}"}
