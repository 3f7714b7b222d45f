"""The API keeps to the document of its last release: later documents only add to it."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from tests.support.compatibility import breaking
from tests.support.contract import DOCUMENT

RELEASED = Path(__file__).resolve().parent / "released_openapi.yaml"


@pytest.fixture
def later():
    return deepcopy(DOCUMENT)


def operation(document, method="post", path="/api/v1/students/{student_id}/courses"):
    return document["paths"][path][method]


def schemas(document):
    return document["components"]["schemas"]


def test_the_document_does_not_break_clients_of_the_last_release():
    assert breaking(yaml.safe_load(RELEASED.read_text()), DOCUMENT) == []


def test_a_document_does_not_break_itself():
    assert breaking(DOCUMENT, DOCUMENT) == []


def test_additions_break_no_client(later):
    later["paths"]["/api/v1/more"] = {"get": {"responses": {}}}
    operation(later)["parameters"].append({"in": "query", "name": "more", "schema": {"type": "string"}})
    schemas(later)["EnrollRequest"]["properties"]["more"] = {"type": "string"}
    schemas(later)["EnrollmentInPart"]["properties"]["more"] = {"type": "string"}
    schemas(later)["StatusEnum"]["enum"].append("auditing")

    assert breaking(DOCUMENT, later) == []


def remove_operation(document):
    del document["paths"]["/api/v1/changes"]["get"]


def require_parameter(document):
    new = {"in": "query", "name": "more", "required": True, "schema": {"type": "string"}}
    operation(document)["parameters"].append(new)


def remove_parameter(document):
    parameters = operation(document, "get", "/api/v1/terms")["parameters"]
    parameters[:] = [each for each in parameters if "search" not in str(each)]


def require_property(document):
    schemas(document)["EnrollRequest"]["required"] = ["reason"]


def remove_property_of_request(document):
    del schemas(document)["EnrollRequest"]["properties"]["reason"]


def shorten_property(document):
    schemas(document)["EnrollRequest"]["properties"]["reason"]["maxLength"] = 10


def remove_choice(document):
    schemas(document)["OnFullEnum"]["enum"] = ["reject"]


def remove_property_of_response(document):
    del schemas(document)["EnrollmentInPart"]["properties"]["grade"]


def make_property_optional(document):
    schemas(document)["Enrollment"]["required"].remove("grade")


def change_type(document):
    schemas(document)["EnrollmentInPart"]["properties"]["version"]["type"] = "string"


def remove_success(document):
    responses = operation(document)["responses"]
    responses["202"] = responses.pop("201")


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (remove_operation, "get /api/v1/changes: removed"),
        (require_parameter, "post /api/v1/students/{student_id}/courses more: required"),
        (remove_parameter, "get /api/v1/terms search: removed"),
        (require_property, "post /api/v1/students/{student_id}/courses body reason: required"),
        (remove_property_of_request, "post /api/v1/students/{student_id}/courses body reason: removed"),
        (shorten_property, "post /api/v1/students/{student_id}/courses body reason: stricter maxLength"),
        (remove_choice, "post /api/v1/students/{student_id}/courses body on_full: fewer values"),
        (remove_property_of_response, "get /api/v1/courses/{course_id}/students 200 results[] grade: removed"),
        (make_property_optional, "get /api/v1/courses/{course_id}/students 200 results[] grade: not always there"),
        (change_type, "get /api/v1/courses/{course_id}/students 200 results[] version: another type"),
        (remove_success, "post /api/v1/students/{student_id}/courses 201: removed"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_change_that_breaks_clients_is_found(later, change, difference):
    change(later)

    assert difference in breaking(DOCUMENT, later)
