"""The API conforms to its OpenAPI document, for generated requests of every operation."""

import pytest
from hypothesis import HealthCheck, settings
from schemathesis import checks

from school.api.openapi.common_operation_parts import COMMON_STATUSES
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.support.contract import DOCUMENT, connection_kept, load
from tests.support.factories import make_course, make_student, make_term
from tools.fuzz import count, examples

schema = load(DOCUMENT)
# An ETag is checked before the body, as in RFC 9110, 13.2.1.
schema.config.checks.negative_data_rejection.expected_statuses += ["412"]

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@pytest.fixture
def token(api):
    """Return a token, and make rows with small ids, as the fuzzer uses small ids."""
    for _ in range(3):
        student = make_student()
        enroll(student_id=student.pk, course_id=make_course(term=make_term()).pk, actor=ActorContext(Channel.SYSTEM))
    with connection_kept():
        yield api._credentials["HTTP_AUTHORIZATION"]


@schema.parametrize()
@settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_the_api_conforms_to_its_document(case, token):
    count()
    response = case.call(headers={"Authorization": token, "Host": "localhost"})

    # Beside the documented statuses, every operation may return a problem, which the document has as the default.
    named = DOCUMENT["paths"][case.operation.path][case.operation.method.lower()]["responses"]
    other_methods = {"200", "405"} if case.method == "OPTIONS" else {"405"}  # the fuzzer tries other methods as well
    assert str(response.status_code) in {*named, *COMMON_STATUSES, *other_methods}

    # A malformed item of a batch is an outcome beside those of the valid items, and the fuzzer's own client leaves
    # out the empty fields of a form, so that forms which it considers malformed are valid.
    is_lenient = case.operation.path.endswith(("/batch", "/api/v1/imports"))
    asked = [check for check in CHECKS if not (is_lenient and check is checks.negative_data_rejection)]
    case.validate_response(response, checks=asked)
