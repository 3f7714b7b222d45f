"""The OpenAPI document conforms to the standard, and the API conforms to the document."""

import re
from collections import defaultdict

import jsonschema
import pytest
import time_machine
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from openapi_spec_validator import validate

from bulk.models import State
from courses.api.serializers import TERM
from school.api.idempotency import KEY_PATTERN
from school.api.openapi.descriptions import SCHEMAS, TAGS, TEXTS
from students.api.problem_pages import code_descriptions
from tests.support.contract import DOCUMENT, operations


def test_the_document_is_openapi_3_1():
    validate(DOCUMENT)

    assert DOCUMENT["openapi"] == "3.1.0"
    assert re.findall("nullable", str(DOCUMENT)) == []


def test_every_operation_documents_its_scope_and_its_problems():
    for name, operation in operations():
        assert [list(each) for each in operation["security"]] == [["oauth2"], ["bearerAuth"], ["cookieAuth"]], name
        [[scope]] = [each["oauth2"] for each in operation["security"] if "oauth2" in each]
        is_write = not name.startswith("get ") or "/webhooks" in name  # attempts are for those who manage endpoints
        assert scope.endswith(":write" if is_write else ":read"), name


@pytest.mark.parametrize("format_name", ["yaml", "json"])
def test_the_document_is_at_most_150_kilobytes(client, format_name):
    assert len(client.get("/api/schema", {"format": format_name}).content) < 150_000


def test_every_operation_has_a_unique_summary_and_description():
    texts = [(operation["summary"], operation["description"]) for _name, operation in operations()]

    assert sorted(texts) == sorted(TEXTS.values())
    assert len({summary for summary, _description in texts}) == len(texts)
    assert sorted({tag for _name, operation in operations() for tag in operation["tags"]}) == sorted(TAGS)
    assert [tag["name"] for tag in DOCUMENT["tags"]] == list(TAGS)


def test_every_object_schema_has_a_description():
    described = {
        name.removesuffix("InPart").removeprefix("Patched").removesuffix("Request"): schema["description"]
        for name, schema in DOCUMENT["components"]["schemas"].items()
        if {"properties", "allOf"} & schema.keys() and not name.startswith("Paginated")
    }

    assert described == SCHEMAS


def test_only_path_parameters_have_an_example_and_are_required():
    """The interactive documentation sends the example, or the first value, of each parameter that has one."""
    for name, operation in operations():
        for parameter in operation["parameters"]:
            has_example = "example" in parameter or "examples" in parameter or "example" in parameter["schema"]
            assert has_example == (parameter["in"] == "path"), (name, parameter["name"])
            assert parameter.get("required", False) == (parameter["in"] == "path")
            if has_example:
                jsonschema.validate(parameter["example"], parameter["schema"])


def test_fields_that_are_always_present_are_required():
    schemas = DOCUMENT["components"]["schemas"]
    sometimes = {
        name: sorted(set(schema["properties"]) - set(schema.get("required", ())))
        for name, schema in schemas.items()
        if "properties" in schema and not name.endswith(("Request", "InPart"))
    }

    assert {name: fields for name, fields in sometimes.items() if fields} == {
        "BatchOutcome": ["losing_corequisites", "losing_prerequisites"],
        "BatchProblem": ["import", "missing_permission", "missing_scope", "outcomes"],
        "Change": ["type"],
        "ImportProblem": ["field"],
        "ImportWarning": ["field"],
        "ItemOutcome": ["code", "enrollment", "errors", "message"],
        "ObjectChange": ["course", "student", "term"],
        "Problem": ["import", "missing_permission", "missing_scope"],
        "ReportRow": ["part"],
        "RowOutcome": ["code", "errors", "id", "message"],
    }
    optional = [name for name, each in operations() if "requestBody" in each and "required" not in each["requestBody"]]
    edited = ("courses/{course_id}", "grades/{grade_id}", "students/{student_id}", "terms/{term_id}", "webhooks/{id}")
    may_be_empty = [f"patch /api/v1/{each}" for each in edited]
    acts_on_imports = [f"post /api/v1/imports/{{id}}/{act}" for act in ("approve", "undo")]
    assert optional == [*may_be_empty[:2], *acts_on_imports, *may_be_empty[2:]]


def test_codes_kinds_and_states_are_documented_as_enumerations():
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["ProblemCode"]["enum"] == sorted(code_descriptions())
    assert schemas["ImportStateEnum"]["enum"] == State.values
    assert schemas["ImportRequest"]["properties"]["again"]["type"] == "boolean"


def test_every_body_has_a_valid_example():
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


def test_every_response_documents_its_headers_and_every_operation_common_problems():
    for name, operation in operations():
        responses = operation["responses"]
        problems = responses["default"]["content"]["application/problem+json"]["examples"]
        assert list(problems) == ["400", "401", "403", "406", "429", "500", "503"], name
        headers = {"X-Request-ID", "Retry-After", "RateLimit", "WWW-Authenticate"}
        assert headers <= set(responses["default"]["headers"]), name


BATCHES = [f"{kind}/batch" for kind in ("students", "courses", "terms")]


def test_conditional_and_idempotency_headers_are_documented_where_accepted():
    taken: dict[str, set[str]] = {"If-Match": set(), "If-None-Match": set(), "Idempotency-Key": set()}
    for name, operation in operations():
        for parameter in operation["parameters"]:
            if parameter["in"] == "header":
                taken[parameter["name"]].add(name)

    edited = ["students/{student_id}", "courses/{course_id}", "terms/{term_id}"]
    writes = {f"{method} /api/v1/{path}" for path in edited for method in ("put", "patch", "delete")}
    for path in ("students/{student_id}/courses/{course_id}", "grades/{grade_id}", "webhooks/{id}"):
        writes |= {f"{method} /api/v1/{path}" for method in ("patch", "delete")}
    writes.add("delete /api/v1/students/{student_id}/holds/{id}")
    reads = {name for name, _operation in operations() if name.startswith("get ")} - {"get /api/v1/changes"}
    reads = {
        name for name in reads if not name.endswith(("/report", "/failed-rows", "/exports/oneroster"))
    }  # these are streams
    reads |= {f"put /api/v1/{path}" for path in edited}
    created = ("students", "courses", "grades", "terms", "enrollments/batch", "imports", "students/{student_id}/holds")
    posts = {f"post /api/v1/{path}" for path in (*created, *BATCHES)}
    assert taken == {"If-Match": writes, "If-None-Match": reads, "Idempotency-Key": posts}


def test_schemas_of_commands_allow_no_unknown_fields():
    """Read-only fields may be sent back with a resource, so its schema is open. Schemas of commands are closed."""
    schemas = DOCUMENT["components"]["schemas"]

    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    acts = {
        "Approval",
        "CourseCancellation",
        "Enroll",
        "Batch",
        "EnrollItem",
        "DropItem",
        "CompleteItem",
        "Import",
        "Replay",
        "Undo",
        "StudentBatch",
        "CourseBatch",
        "TermBatch",
    }
    assert closed == {f"{act}Request" for act in acts}
    assert schemas["CompleteRequest"]["required"] == ["status"]
    assert schemas["BatchRequest"]["properties"]["items"]["minItems"] == 1


def test_parameter_schemas_match_the_values_that_are_accepted():
    schemas = defaultdict(list)
    for _name, operation in operations():
        for parameter in operation["parameters"]:
            schemas[parameter["name"]].append(parameter["schema"])

    assert {schema["pattern"] for schema in schemas["Idempotency-Key"]} == {KEY_PATTERN}
    assert {schema["minItems"] for name in ("fields", "expand") for schema in schemas[name]} == {1}
    assert [schema["enum"] for schema in schemas["part"]] == 2 * [
        ["courses", "enrollments", "grades", "holds", "students", "terms"]
    ]


@pytest.mark.django_db
def test_every_error_code_has_a_documentation_page(client):
    for code in code_descriptions():
        assert client.get(f"/problems/{code}").status_code == 200
    assert client.get("/problems/nonsense").status_code == 404


@pytest.mark.django_db
def test_the_page_of_all_problems_links_to_each(client):
    page = client.get("/problems/").content.decode()

    assert re.findall('href="/problems/([a-z_]+)"', page) == sorted(code_descriptions())


@pytest.mark.django_db
def test_the_index_of_the_api_leads_to_every_list(client, api):
    index = client.get("/api/").json()
    lists = client.get(f"{index['v1']}/").json()

    assert {client.get(index[name]).status_code for name in ("schema", "docs", "problems")} == {200}
    names = ["students", "courses", "terms", "grades", "changes", "enrollments", "imports", "webhooks"]
    batches = [f"{name}-batch" for name in ("students", "courses", "terms", "enrollments")]
    assert [name for name in lists if name in names] == names
    assert [name for name in lists if name not in names] == batches
    assert {api.get(lists[name]).status_code for name in names} == {200}


@pytest.mark.django_db
def test_the_script_of_the_interactive_documentation_has_the_csrf_token_of_the_session(registrar):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(registrar)
    script = browser.get("/api/docs?script=").content.decode()
    [token] = re.findall(r'headers\["X-CSRFTOKEN"\] = "(\w+)"', script)

    answer = browser.post("/api/v1/terms", TERM, content_type="application/json", headers={"X-CSRFToken": token})

    assert (answer.status_code, answer.json()["code"]) == (201, TERM["code"])


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/students/1", "/api/v1/students/1/courses/1"])
def test_a_client_that_accepts_only_problems_gets_the_answer(api, path):
    """The interactive documentation accepts only the media types of an operation, and a deletion has no other."""
    answer = api.delete(path, headers={"Accept": "application/problem+json"})

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", "*/*", "application/vnd.oai.openapi"),
        ("", "application/json", "application/json"),
        ("?format=json", "*/*", "application/json"),
        ("?format=json", "application/yaml", "application/json"),
        ("?format=yaml", "application/json", "application/yaml"),
    ],
)
def test_the_document_comes_in_the_form_that_is_asked_for(client, query, accept, media_type):
    answer = client.get(f"/api/schema{query}", headers={"Accept": accept})

    assert (answer.status_code, answer["Content-Type"]) == (200, media_type)
    assert (answer.content[:1] == b"{") == (media_type == "application/json")


@pytest.mark.django_db
def test_a_form_that_the_document_does_not_have_is_an_error(client):
    answer = client.get("/api/schema?format=xml")

    assert (answer.status_code, answer.json()["errors"]) == (
        400,
        [{"code": "invalid_choice", "field": "format", "message": "Write one of: json, yaml."}],
    )


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's ids go on where an earlier test ended")
@pytest.mark.django_db
def test_each_documented_example_works_on_the_demo_data(api):
    """The interactive documentation sends the examples unchanged."""
    with time_machine.travel("2026-11-02T08:00:00Z", tick=False):
        call_command("seed_demo", students=50, courses=80, enrollments=100, verbosity=0)

    answers = {}
    for name, operation in operations():
        method, _, path = name.partition(" ")
        if method == "delete" or "/imports" in path:  # these need a file that the user selects
            continue
        for parameter in operation["parameters"]:
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example")))
        body = operation.get("requestBody", {"content": {}})["content"].get("application/json", {"examples": {}})
        for example in body["examples"].values() or [{"value": None}]:
            with transaction.atomic():
                answers[name] = getattr(api, method)(path, example["value"]).status_code
                transaction.set_rollback(True)

    # There is no endpoint before one is created.
    on_endpoints = {name: answers.pop(name) for name in list(answers) if "/webhooks/{id}" in name}
    assert set(on_endpoints.values()) == {404}
    one = "/api/v1/students/{student_id}/courses/{course_id}"  # exists once the student has been enrolled
    assert (answers.pop(f"get {one}"), answers.pop(f"patch {one}")) == (404, 404)
    assert answers.pop("get /api/v1/students/{student_id}/holds/{id}") == 404  # exists once it has been placed
    # The second item of the batch is refused, to show a refusal.
    assert {name: status for name, status in answers.items() if status not in (200, 201)} == {
        "post /api/v1/enrollments/batch": 207,
        "post /api/v1/courses/{course_id}/cancel/undo": 409,  # the course is not cancelled
    }
