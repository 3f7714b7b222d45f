"""Sequences of API requests that follow the links of the OpenAPI document."""

import json
import re
from copy import deepcopy
from typing import Any

from django.db import transaction
from schemathesis import checks

from bulk.models import Import
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.support.contract import DOCUMENT, load
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported, worked_on
from tools.fuzz import count

# Error codes of requests that conform to the document: conditions that a schema cannot express, or not in a form that
# client generators accept.
CODES_BEYOND_SCHEMA = {
    "bad_request",  # NUL in an address
    "blank",  # nothing but spaces
    "control_characters",
    "course_not_found",  # among the prerequisites
    "dates_reversed",
    "does_not_exist",
    "drop_deadline_outside_term",
    "census_outside_term",
    "invalid_cursor",
    "invalid_identifier",
    "max_decimal_places",
    "no_passing_grade",
    "not_waivable",
    "null_characters_not_allowed",
    "term_of_code",
    "unknown_grade",
    "which_course",
    "which_student",
    "window_reversed",
    "year_out_of_range",
}
FILE = f"{ENROLLMENTS}S-1042,MATH-101,,,,\n"
# An expired cursor, a stale ETag and a reused key.
BEYOND_STATUSES = ["410", "412", "422"]
# A malformed item of a batch is an outcome. For the fuzzer's forms see tests/school/test_openapi_conformance.py.
LENIENT = ("courses_batch", "enrollments_batch", "students_batch", "terms_batch", "imports_create")


def _without_unknown_fields(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without unknown fields in requests: they are rejected, and would end a sequence."""
    strict = deepcopy(document)
    for name, schema in strict["components"]["schemas"].items():
        if name.endswith("Request") and "properties" in schema:
            schema["additionalProperties"] = False
    return strict


linked = load(_without_unknown_fields(DOCUMENT))
linked.config.checks.positive_data_acceptance.expected_statuses += BEYOND_STATUSES
# An ETag is checked before the body, as in RFC 9110, 13.2.1.
linked.config.checks.negative_data_rejection.expected_statuses += ["412"]


class RequestSequence(linked.as_state_machine()):  # type: ignore[misc]
    """
    A state machine that follows the document's links and those that Schemathesis infers.

    A link fills in values from one response. An enrollment needs two rows, so a sequence keeps the newest id of each
    kind, and repairs what a schema cannot express: without this most generated requests would be rejected. Requests
    that are generated to be invalid are sent unchanged.
    """

    token = ""  # the token of an API client with all scopes
    done: set[str]  # the operations that succeeded

    def setup(self) -> None:
        self.run = transaction.atomic()
        self.run.__enter__()
        student, course = make_student(student_number="S-1042"), make_course(code="MATH-101", capacity=2)
        enroll(student_id=make_student().pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM))
        self.newest = {"student_id": student.pk, "course_id": course.pk}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.run.__exit__(None, None, None)

    def get_call_kwargs(self, case: Any) -> dict[str, Any]:
        return {"headers": {"Authorization": self.token, "Host": "localhost"}}

    def before_call(self, case: Any) -> None:
        if case.meta.generation.mode.is_negative:
            return
        for name, value in case.path_parameters.items():
            if isinstance(value, str):  # a value from a link is still a number
                case.path_parameters[name] = self._newest(_kind(case, name)) or value
        for name in (
            "as_of",
            "cursor",
            "part",
            "wait",
        ):  # cursors come from School, a part needs a zip, nothing would end a wait, and as_of has several forms
            (case.query or {}).pop(name, None)
        if operation_id_of(case) == "imports_create":
            case.media_type, case.body = "text/csv", FILE.encode()
            case.query = {"kind": "enrollments"}
        elif isinstance(case.body, dict):
            case.body = json.loads(json.dumps(case.body), parse_float=_integer_if_whole)
            for body in case.body.get("items", [case.body]):
                self._repair(operation_id_of(case), body)

    def _newest(self, kind: str) -> int | None:
        if kind == "import_id" and kind not in self.newest:
            self.newest[kind] = imported(FILE).pk
        return self.newest.get(kind)

    def _repair(self, name: str, body: dict[str, Any]) -> None:
        if name in ("students_courses_create", "enrollments_batch"):
            for other in ("course_code", "term", "section", "student_number"):
                body.pop(other, None)
            body["course_id"] = self.newest["course_id"]
            if "action" in body:
                body["student_id"] = self.newest["student_id"]
            if body.get("waive"):
                body |= {"waive": ["course_full"], "reason": "because"}
            body.pop("instead_of", None)
        for key in ("credits", "max_credits"):
            if body.get(key):
                body[key] = 3
        if body.get("meetings"):
            body["meetings"] = [{"day": "mon", "from": "10:00", "to": "11:30"}]
        if body.get("corequisites"):
            body["corequisites"] = []
        for key in ("code", "student_number"):
            if key in body:
                body[key] = re.sub(r"[^\w.-]", "", body[key]) or "X"
        if name.startswith("courses_"):
            body |= {key: None for key in ("term", "enrollment_opens_at", "enrollment_closes_at") if key in body}
            body |= {"prerequisites": []} if "prerequisites" in body else {}
        days = [key for key in ("starts_on", "ends_on", "drop_deadline") if body.get(key)]
        body |= {key: f"2028{body[key][4:]}" for key in days}
        in_order = [key for key in ("starts_on", "drop_deadline", "ends_on") if key in days]
        body |= dict(zip(in_order, sorted(body[key] for key in in_order), strict=True))

    def after_call(self, response: Any, case: Any) -> None:
        super().after_call(response, case)
        count()
        if response.status_code < 300:
            self.done.add(operation_id_of(case))
        if response.status_code == 201 and operation_id_of(case).endswith("s_create"):
            made = operation_id_of(case).removesuffix("s_create")
            self.newest[f"{made}_id"] = response.json()["id"]
        if response.status_code == 202:
            self.newest["import_id"] = worked_on(Import.objects.get(pk=response.json()["id"])).pk

    def validate_response(self, response: Any, case: Any, additional_checks: Any = None, **kwargs: Any) -> None:
        excluded = [checks.ignored_auth]  # no OAuth 2.0; tests/security/test_access.py covers it
        if operation_id_of(case) in LENIENT:
            excluded.append(checks.negative_data_rejection)
        if response.status_code == 400 and {each["code"] for each in response.json()["errors"]} <= CODES_BEYOND_SCHEMA:
            excluded.append(checks.positive_data_acceptance)
        if operation_id_of(case).startswith(("students_courses", "students_holds")):
            excluded.append(checks.use_after_free)  # dropped enrollments and released holds still exist as history
        case.validate_response(response, excluded_checks=excluded, recorder=self.recorder, transport_kwargs=kwargs)


def operation_id_of(case: Any) -> str:
    """Return the operationId."""
    return str(case.operation.definition.raw["operationId"])


def _kind(case: Any, parameter: str) -> str:
    return "import_id" if parameter == "id" and operation_id_of(case).startswith("imports_") else parameter


def _integer_if_whole(text: str) -> float:
    """Return 1.0 as 1: it is an integer for JSON Schema, but School rejects it, as it may have lost digits."""
    number = float(text)
    return int(number) if number.is_integer() else number
