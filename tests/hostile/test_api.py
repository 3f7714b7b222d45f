"""
The inputs that break sites made of Django and REST framework, at every kind of address of the API.

Each is answered with its own status and a problem that says what it is, the same on both databases, and writes nothing.
"""

from typing import Any

import pytest
from django.core import signing

from bulk.models import Import
from school.api.pagination import signer_of
from school.models import ApiClient
from students.enrollment import enroll
from students.enrollment.commands import ActorContext
from students.models import Channel
from tests.bulk.work import ENROLLMENTS, imported
from tests.factories import make_course, make_student, make_term
from tests.hostile.addresses import in_paths, in_queries, of_methods
from tests.hostile.bodies import in_bodies, of_imports
from tests.hostile.cases import answers_gone_wrong
from tests.hostile.headers import in_headers, of_strangers

pytestmark = pytest.mark.django_db

FAMILIES = [in_paths, in_queries, in_bodies, in_headers, of_methods, of_imports]


@pytest.fixture
def there(origin) -> dict[str, Any]:
    """One of each kind."""
    student, course, term = make_student(), make_course(), make_term()
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM)).enrollment
    assert enrollment is not None
    job: Import = imported(ENROLLMENTS)
    for client in ApiClient.objects.all():  # whose import it is: another client's would be a 404
        Import.objects.filter(pk=job.pk).update(client=client.user)
    forger = signing.Signer(key="not the server's", salt="cursor:StudentViewSet", sep=".")
    return {
        "student": student.pk,
        "course": course.pk,
        "term": term.pk,
        "enrollment": enrollment.pk,
        "job": job.pk,
        "foreign": signer_of("cursor:AnotherViewSet").sign_object(["id", False, "1", 1]),
        "forged": forger.sign_object(["id", False, "1", 1]),
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_whatever_a_program_sends_is_refused_by_name_and_writes_nothing(api, there, family):
    assert answers_gone_wrong(api, family(), **there) == []


def test_whatever_a_stranger_shows_is_401_and_writes_nothing(client, there):
    assert answers_gone_wrong(client, of_strangers(), **there) == []


def test_there_are_many_of_them():
    assert len([case for family in [*FAMILIES, of_strangers] for case in family()]) > 1_000
