"""
Hostile input to every kind of API address.

Each request gets its own status and a specific problem, the same on both databases, and writes nothing.
"""

from typing import Any

import pytest
from django.core import signing

from bulk.models import Import
from school.api.pagination import cursor_signer
from school.models import ApiClient
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.hostile.addresses import method_cases, path_cases, query_cases
from tests.hostile.bodies import body_cases, import_cases
from tests.hostile.cases import unexpected_responses
from tests.hostile.headers import anonymous_cases, header_cases
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported

pytestmark = pytest.mark.django_db

FAMILIES = [path_cases, query_cases, body_cases, header_cases, method_cases, import_cases]


@pytest.fixture
def path_values(actor) -> dict[str, Any]:
    """Make one row of each kind, and return their keys."""
    student, course, term = make_student(), make_course(), make_term()
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM)).enrollment
    assert enrollment is not None
    job: Import = imported(ENROLLMENTS)
    for client in ApiClient.objects.all():  # an import of another client would be a 404
        Import.objects.filter(pk=job.pk).update(client=client.user)
    forger = signing.Signer(key="not the server's", salt="cursor:StudentViewSet", sep=".")
    return {
        "student": student.pk,
        "course": course.pk,
        "term": term.pk,
        "enrollment": enrollment.pk,
        "job": job.pk,
        "foreign": cursor_signer("cursor:AnotherViewSet").sign_object(["id", False, "1", 1]),
        "forged": forger.sign_object(["id", False, "1", 1]),
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_hostile_api_requests_return_a_specific_problem_and_write_nothing(api, path_values, family):
    assert unexpected_responses(api, family(), **path_values) == []


def test_invalid_api_credentials_return_401_and_write_nothing(client, path_values):
    assert unexpected_responses(client, anonymous_cases(), **path_values) == []


def test_the_number_of_hostile_cases_does_not_shrink():
    assert len([case for family in [*FAMILIES, anonymous_cases] for case in family()]) > 1_000
