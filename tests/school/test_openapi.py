"""The OpenAPI document against the standard, and the API against the document."""

import json
import re
from collections import defaultdict

import jsonschema
import pytest
import time_machine
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis import checks

from bulk.models import State
from school.api.idempotency import KEY_PATTERN
from school.api.openapi.operation_texts import SCHEMAS, TAGS, TEXTS
from school.api.openapi.operations import ALWAYS
from students.api.problem_pages import code_descriptions
from students.enrollment import enroll
from students.enrollment.commands import ActorContext
from students.models import Channel
from tests.contract import DOCUMENT, connection_kept, load, operations
from tests.factories import make_course, make_student, make_term
from tests.fuzz import count, examples
from tests.openapi import COMMITTED

schema = load(DOCUMENT)
# A tag is looked at before the body is, as RFC 9110 (13.2.1) has it.
schema.config.checks.negative_data_rejection.expected_statuses += ["412"]

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


def test_the_document_is_at_most_150_kilobytes_in_both_forms():
    assert len(COMMITTED.read_bytes()) < 150_000
    assert len(json.dumps(DOCUMENT, default=str)) < 150_000


def test_every_operation_has_a_summary_and_a_description_of_its_own():
    texts = [(operation["summary"], operation["description"]) for _name, operation in operations()]

    assert sorted(texts) == sorted(TEXTS.values())
    assert len({summary for summary, _description in texts}) == len(texts)
    assert sorted({tag for _name, operation in operations() for tag in operation["tags"]}) == sorted(TAGS)
    assert [tag["name"] for tag in DOCUMENT["tags"]] == list(TAGS)


def test_every_schema_of_an_object_is_described_for_authors_of_clients():
    described = {
        name.removeprefix("Patched").removesuffix("InPart").removesuffix("Request"): schema["description"]
        for name, schema in DOCUMENT["components"]["schemas"].items()
        if schema.get("type") == "object" and not name.startswith("Paginated")
    }

    assert described == SCHEMAS


def test_parameters_of_paths_have_an_example_and_others_send_nothing_by_themselves():
    """The page to try the API out sends the example, or the first value, of each parameter that has one."""
    for name, operation in operations():
        for parameter in operation["parameters"]:
            has_example = "example" in parameter or "examples" in parameter or "example" in parameter["schema"]
            assert has_example == (parameter["in"] == "path"), (name, parameter["name"])
            assert parameter.get("required", False) == (parameter["in"] == "path")
            if has_example:
                jsonschema.validate(parameter["example"], parameter["schema"])


def test_what_is_always_there_is_required():
    schemas = DOCUMENT["components"]["schemas"]
    sometimes = {
        name: sorted(set(schema["properties"]) - set(schema.get("required", ())))
        for name, schema in schemas.items()
        if "properties" in schema and not name.endswith(("Request", "InPart"))
    }

    assert {name: fields for name, fields in sometimes.items() if fields} == {
        "BatchProblem": ["import", "missing_permission", "missing_scope", "outcomes"],
        "ImportProblem": ["field"],
        "ImportWarning": ["field"],
        "ItemOutcome": ["code", "enrollment", "errors", "message"],
        "Problem": ["import", "missing_permission", "missing_scope"],
        "ReportRow": ["part"],
    }
    optional = [name for name, each in operations() if "requestBody" in each and "required" not in each["requestBody"]]
    may_be_empty = [
        f"patch /api/v1/{each}" for each in ("courses/{course_id}", "students/{student_id}", "terms/{term_id}")
    ]
    assert optional == [may_be_empty[0], "post /api/v1/imports/{id}/undo", *may_be_empty[1:]]


def test_codes_kinds_and_states_are_enumerations():
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["ProblemCode"]["enum"] == sorted(code_descriptions())
    assert schemas["ImportStateEnum"]["enum"] == State.values
    assert schemas["ImportRequest"]["properties"]["again"]["type"] == "boolean"


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
        problems = responses["default"]["content"]["application/problem+json"]["examples"]
        assert list(problems) == ["401", "403", "406", "429", "500", "503"], name
        assert [status for status in responses if "X-Request-ID" not in responses[status]["headers"]] == [], name
        assert {"Retry-After", "RateLimit", "WWW-Authenticate"} <= set(responses["default"]["headers"]), name


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
    acts = {"Enroll", "Batch", "EnrollItem", "DropItem", "CompleteItem", "Import", "Undo"}
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
    for code in code_descriptions():
        assert client.get(f"/problems/{code}").status_code == 200
    assert client.get("/problems/nonsense").status_code == 404


@pytest.fixture
def token(api):
    """A token, and something to find with it: the fuzzer's ids are small."""
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
def test_the_api_keeps_to_its_document(case, token):
    count()
    response = case.call(headers={"Authorization": token, "Host": "localhost"})

    # Beside those that the operation names, any may answer a problem that the document has as the default.
    named = DOCUMENT["paths"][case.operation.path][case.operation.method.lower()]["responses"]
    assert str(response.status_code) in {*named, *ALWAYS, "405"}  # another method is tried too

    # A malformed item of a batch is an outcome beside those of the good ones, and the fuzzer's own client leaves out
    # the empty fields of a form, so that what it takes for malformed is not.
    is_lenient = case.operation.path in ("/api/v1/enrollments/batch", "/api/v1/imports")
    asked = [check for check in CHECKS if not (is_lenient and check is checks.negative_data_rejection)]
    case.validate_response(response, checks=asked)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's ids go on where an earlier test ended")
@pytest.mark.django_db
def test_on_the_demo_data_each_example_is_found_or_written(api):
    """A reader who tries the API out sends the examples as they are."""
    with time_machine.travel("2026-11-02T08:00:00Z", tick=False):
        call_command("seed_demo", students=50, courses=80, enrollments=100, verbosity=0)

    answers = {}
    for name, operation in operations():
        method, _, path = name.partition(" ")
        if method == "delete" or "/imports" in path:  # which takes a file that is chosen by hand
            continue
        for parameter in operation["parameters"]:
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example")))
        body = operation.get("requestBody", {"content": {}})["content"].get("application/json", {"examples": {}})
        for example in body["examples"].values() or [{"value": None}]:
            with transaction.atomic():
                answers[name] = getattr(api, method)(path, example["value"]).status_code
                transaction.set_rollback(True)

    one = "/api/v1/students/{student_id}/courses/{course_id}"  # is there once the student has been enrolled
    assert (answers.pop(f"get {one}"), answers.pop(f"patch {one}")) == (404, 404)
    # The second item of the batch is refused, to show a refusal.
    assert {name: status for name, status in answers.items() if status not in (200, 201)} == {
        "post /api/v1/enrollments/batch": 207
    }
