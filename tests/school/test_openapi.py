"""The OpenAPI document against the standard, and the API against the document."""

import re
from collections import defaultdict

import jsonschema
import pytest
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis import checks

from school.api.idempotency import KEY_PATTERN
from students.acts import Origin
from students.enrollment import enroll
from students.models import Channel
from students.problems import meanings
from tests.contract import DOCUMENT, connection_kept, load, operations
from tests.factories import make_course, make_student, make_term
from tests.fuzz import count, examples

schema = load(DOCUMENT)

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


def test_the_document_is_openapi_3_1():
    validate(DOCUMENT)

    assert DOCUMENT["openapi"] == "3.1.0"
    assert re.findall("nullable", str(DOCUMENT)) == []


def test_every_operation_names_its_scope_and_its_problems():
    for name, operation in operations():
        assert [list(each) for each in operation["security"]] == [["oauth2"], ["cookieAuth"]], name
        [[scope]] = [each["oauth2"] for each in operation["security"] if "oauth2" in each]
        assert scope.endswith(":read" if name.startswith("get ") else ":write")
        assert {"401", "403"} <= set(operation["responses"])


def test_every_parameter_has_an_example_that_is_one():
    for name, operation in operations():
        for parameter in operation["parameters"]:
            assert "example" in parameter, (name, parameter["name"])
            jsonschema.validate(parameter["example"], parameter["schema"])


def test_every_body_has_an_example_that_is_one():
    registry = {"components": DOCUMENT["components"]}
    for name, operation in operations():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for body in [*bodies, *operation["responses"].values()]:
            for media_type, content in body.get("content", {}).items():
                if media_type in ("text/csv", "application/zip"):  # files
                    continue
                assert content.get("examples"), (name, media_type)
                for example in content["examples"].values():
                    jsonschema.validate(example["value"], {**content["schema"], **registry})


def test_every_answer_has_its_headers_and_every_operation_the_problems_of_all():
    for name, operation in operations():
        responses = operation["responses"]
        assert {"401", "403", "406", "500", "503"} <= set(responses), name
        assert [status for status in responses if "X-Request-ID" not in responses[status]["headers"]] == [], name
        assert "Retry-After" in responses["503"]["headers"], name


def test_conditions_and_keys_are_told_where_they_are_taken():
    taken: dict[str, set[str]] = {"If-Match": set(), "If-None-Match": set(), "Idempotency-Key": set()}
    for name, operation in operations():
        for parameter in operation["parameters"]:
            if parameter["in"] == "header":
                taken[parameter["name"]].add(name)

    edited = ["students/{student_id}", "courses/{course_id}", "terms/{term_id}"]
    writes = {f"{method} /api/v1/{path}" for path in edited for method in ("put", "patch", "delete")}
    writes |= {f"{method} /api/v1/students/{{student_id}}/courses/{{course_id}}" for method in ("patch", "delete")}
    reads = {name for name, _operation in operations() if name.startswith("get ")} - {"get /api/v1/changes"}
    reads = {name for name in reads if not name.endswith(("/report", "/failed-rows"))}  # which are streams
    posts = {f"post /api/v1/{path}" for path in ("students", "courses", "terms", "enrollments/batch", "imports")}
    assert taken == {"If-Match": writes, "If-None-Match": reads, "Idempotency-Key": posts}


def test_what_is_asked_for_is_told_in_full_and_no_more():
    """Fields that are only read may come back with a resource, so its schema is open. That of an act is not."""
    schemas = DOCUMENT["components"]["schemas"]

    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    acts = {"Enroll", "Complete", "Batch", "EnrollItem", "DropItem", "CompleteItem", "Order", "Undo"}
    assert closed == {f"{act}Request" for act in acts}
    assert schemas["CompleteRequest"]["required"] == ["status"]
    assert schemas["BatchRequest"]["properties"]["items"]["minItems"] == 1


def test_parameters_are_told_as_they_are_read():
    schemas = defaultdict(list)
    for _name, operation in operations():
        for parameter in operation["parameters"]:
            schemas[parameter["name"]].append(parameter["schema"])

    assert {schema["pattern"] for schema in schemas["Idempotency-Key"]} == {KEY_PATTERN}
    assert {schema["minItems"] for name in ("fields", "expand") for schema in schemas[name]} == {1}
    assert [schema["enum"] for schema in schemas["part"]] == 2 * [["courses", "enrollments", "students"]]


@pytest.mark.django_db
def test_every_code_has_a_page(client):
    for code in meanings():
        assert client.get(f"/problems/{code}").status_code == 200
    assert client.get("/problems/nonsense").status_code == 404


@pytest.fixture
def token(api):
    """A token, and something to find with it: the fuzzer's ids are small."""
    for _ in range(3):
        student = make_student()
        enroll(student_id=student.pk, course_id=make_course(term=make_term()).pk, origin=Origin(Channel.SYSTEM))
    with connection_kept():
        yield api._credentials["HTTP_AUTHORIZATION"]


@schema.parametrize()
@settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_the_api_keeps_to_its_document(case, token):
    count()
    response = case.call(headers={"Authorization": token, "Host": "localhost"})

    # A malformed item of a batch is an outcome beside those of the good ones, and the fuzzer's own client leaves out
    # the empty fields of a form, so that what it takes for malformed is not.
    is_lenient = case.operation.path in ("/api/v1/enrollments/batch", "/api/v1/imports")
    asked = [check for check in CHECKS if not (is_lenient and check is checks.negative_data_rejection)]
    case.validate_response(response, checks=asked)
