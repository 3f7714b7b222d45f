"""Fixtures: endpoints, their deliveries without a worker, and enrollments to deliver."""

from ipaddress import ip_network

import pytest

from students.enrollment import enroll
from tests.support.factories import make_course, make_student
from webhooks.delivery import dispatcher
from webhooks.endpoints import register
from webhooks.models import Endpoint


@pytest.fixture(autouse=True)
def loopback(settings):
    """Allow receivers on this machine."""
    settings.WEBHOOK_HTTP = True
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]


@pytest.fixture
def endpoint_of(db):
    """Register an endpoint for a receiver, and return it. ``plain_secret`` is its secret."""

    def make(receiver, **values):
        endpoint = Endpoint(url=receiver.url, **{"kinds": ["enrollments"], **values})
        vars(endpoint)["plain_secret"] = register(endpoint)
        return endpoint

    return make


@pytest.fixture
def deliver():
    """Deliver what is due, and return the endpoint as it is afterwards."""

    def run(endpoint=None):
        dispatcher.run(keep_running=lambda: True, once=True)
        if endpoint is not None:
            endpoint.refresh_from_db()
        return endpoint

    return run


@pytest.fixture
def enroll_students(actor):
    """Enroll this many students in a course, and return their ids."""

    def make(times=1, course=None):
        course = course or make_course()
        ids = [make_student().pk for _ in range(times)]
        for student_id in ids:
            enroll(student_id=student_id, course_id=course.pk, actor=actor)
        return ids

    return make
