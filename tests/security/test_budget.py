"""
The worst JSON bodies, queries and headers at every API address stay within the cost budget.

The addresses and fields come from the OpenAPI document, which is generated from the URL configuration and the
serializers, so new ones are covered. Forms and files are in test_budget_forms.py.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from students.models import Student
from tests.support.contract import DOCUMENT
from tests.support.costs import MARKS, SIZE, UNITS, Cost, cost_of, over_budget, repeat_to_size
from tests.support.factories import make_course, make_term

pytestmark = pytest.mark.django_db

# JSON bodies

JSON = "application/json"
BATCH = "/api/v1/enrollments/batch"


def json_object(names: list[str], values: Iterable[str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in zip(names, values, strict=False)) + "}"


def json_objects(names: list[str], size: int) -> Iterator[tuple[str, str]]:
    """Yield named JSON objects of this many bytes, divided among the values of the given fields."""
    share = size // max(len(names), 1) - 40
    yield "combining marks", json_object(names, cycle([f'"a{repeat_to_size(MARKS, share)}"']))
    yield "texts", json_object(names, (f'"{repeat_to_size(unit, share)}"' for unit in cycle(UNITS)))
    yield "lists of numbers", json_object(names, cycle([f"[{repeat_to_size('1,', share)}1]"]))
    yield "lists of texts", json_object(names, cycle(['["a/"' + repeat_to_size(',"a/"', share) + "]"]))
    yield "unknown fields", json_object([f"{n:05x}" for n in range(size // 10)], cycle("1"))
    yield "long unknown fields", json_object([f"{n}{'x' * (size // 130)}" for n in range(99)], cycle("1"))


SYNTAX = {
    "a list": "[" + "1," * (SIZE // 2) + "1]",
    "objects": "[" + '{"":1},' * (SIZE // 7) + "1]",
    "lists": "[" + "[[]]," * (SIZE // 5) + "1]",
    "levels": "[" * SIZE,
    "levels in objects": '{"":' * (SIZE // 4),
    "digits": "1" * SIZE,
    "long numbers": "[" + f"{'1' * 40}," * (SIZE // 41) + "1]",
    "fractions": "[" + "1e9," * (SIZE // 4) + "1]",
    "surrogates": '["' + r"\ud83d\ude00" * (SIZE // 12) + '"]',
    "many surrogates": "[" + r'"\ud83d\ude00",' * (SIZE // 15) + "1]",
    "quotes": '"[' * (SIZE // 2),
    "backslashes": '"' + "[{\\\\" * (SIZE // 4),
    "a text": '"' + "x" * (SIZE - 2) + '"',
    "a name": '{"' + "x" * (SIZE - 10) + '":1}',
}


def resolve_reference(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document, with a reference replaced by its component."""
    if "$ref" not in part:
        return part
    _root, components, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = DOCUMENT[components][kind][name]
    return found


def operations_in_json() -> Iterator[tuple[str, str, list[str], list[dict[str, Any]]]]:
    """Yield method, path, fields, and for each list of objects its name and the fields of each kind of its items."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            content = resolve_reference(operation.get("requestBody", {})).get("content", {}).get("application/json")
            if content is None:
                continue
            properties = resolve_reference(content["schema"]).get("properties", {})
            items = []
            for name, schema in properties.items():
                inner = resolve_reference(resolve_reference(schema).get("items", {}))
                kinds = [resolve_reference(each) for each in inner.get("oneOf", [inner])]
                items += [{"field": name, **kind["properties"]} for kind in kinds if "properties" in kind]
            yield method, path, [name for name, each in properties.items() if not each.get("readOnly")], items


VALID_ITEMS: list[dict[str, Any]] = [
    {"action": "enroll", "student_number": "S-%s", "course_code": "C-%s", "reason": "x"},
    {"student_number": "N-%s", "given_name": "Ada", "family_name": "Byron"},
    {"code": "N-%s", "name": "New", "level": "introductory"},
    {"code": "N-%s", "name": "New", "starts_on": "2026-09-01", "ends_on": "2027-01-31"},
    {"day": "mon", "from": "10:00", "to": "11:30"},
]


def bodies_with_many_items(items: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield bodies with 1,000 items in their lists."""
    for kind in items:
        names = [name for name in kind if name not in ("field", "action")]
        [action] = _choices(kind["action"]) if "action" in kind else [""]
        start = f'{{"action":"{action}",' if action else "{"
        for name, text in json_objects(names, SIZE // 1_000 - 60):
            yield f"{action}: {name}", _batch_body(kind["field"], f"{start}{text[1:]}")
    required = {*items[0]}
    valid = next(each for each in VALID_ITEMS if {*each} <= required)
    long_text = "%s" + "\U0001f600" * 60
    changes: dict[str, dict[str, Any]] = {
        "unknown keys": {},
        "long unknown keys": {"student_number": long_text, "course_code": long_text},
        "all codes waived": {"waive": [f"{n}" * 30 for n in range(20)]},
        "a long choice": {"on_full": "x" * 2_400},
        "marks in a reason": {"reason": MARKS * 500},
    }
    for name, changed in changes.items():
        yield name, _batch_body(items[0]["field"], json.dumps({**valid, **changed}, ensure_ascii=False))
    yield "empty items", _batch_body(items[0]["field"], "{}")
    yield "too many items", f'{{"{items[0]["field"]}":[{"1," * (SIZE // 2 - 10)}1]}}'


def _choices(schema: dict[str, Any]) -> list[str]:
    schema = resolve_reference(schema)
    return schema.get("enum") or [schema["const"]]


def _batch_body(field: str, item: str) -> str:
    every = (item.replace("%s", f"{n}") for n in range(1_000))
    return f'{{"{field}":[{",".join(every)}]}}'


JSON_OPERATIONS = list(operations_in_json())


def costs_of(api: APIClient, method: str, address: str, bodies: Iterable[tuple[str, str]]) -> dict[str, Cost]:
    costs = {}
    for name, text in bodies:
        body = text.encode()
        assert len(body) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE, name
        costs[name] = cost_of(lambda body=body: api.generic(method, address, body, JSON))  # type: ignore[misc]
    return costs


@pytest.mark.parametrize(
    ("method", "path", "fields", "items"), JSON_OPERATIONS, ids=[f"{each[0]} {each[1]}" for each in JSON_OPERATIONS]
)
def test_no_json_body_costs_more_than_a_second(api: APIClient, path_values, method, path, fields, items):
    bodies = bodies_with_many_items(items) if items else json_objects(fields, SIZE)

    costs = costs_of(api, method, path.format(**path_values), bodies)

    assert over_budget(costs) == {}
    assert len(costs) >= 6


@pytest.mark.parametrize("sign", ["x", "\N{GRINNING FACE}"])
def test_no_batch_that_is_applied_costs_more_than_a_second(api: APIClient, sign):
    """Batches of 1,000 commands, and batches that also have items with the maximum number of errors."""
    course = make_course(code=f"C{sign * 63}", name=sign * 200, term=make_term(code="T" * 32), waitlist_capacity=None)
    full = make_course(code=f"F{sign * 63}", name=sign * 200, capacity=0, waitlist_capacity=None)
    closed = make_course(code=f"N{sign * 63}", name=sign * 200, capacity=0)
    Student.objects.bulk_create(
        Student(student_number=f"{n:04}{sign * 60}", given_name=sign * 150, family_name=sign * 150)
        for n in range(1_000)
    )
    ids = list(Student.objects.order_by("pk").values_list("pk", flat=True))
    unknown = {f"{n:02}" + sign * 90: 1 for n in range(50)}

    def batch_items(action: str, **more: Any) -> list[dict[str, Any]]:
        return [{"action": action, "student_id": pk, "course_id": course.pk, **more} for pk in ids]

    refused = batch_items("enroll", course_id=closed.pk)
    bad = {**refused[0], **unknown}
    bodies = {
        "not applied": {"items": [*batch_items("enroll")[:-1], refused[0]], "atomic": True},
        "refused": {"items": refused},
        "enrolled, and two with unknown fields": {"items": [bad, bad, *batch_items("enroll")[:-2]]},
        "waitlisted": {"items": batch_items("enroll", course_id=full.pk, on_full="waitlist")},
        "completed": {"items": batch_items("complete", grade=sign * 32, reason="x" * 500)},
        "dropped": {"items": batch_items("drop", course_id=full.pk), "atomic": True},
        "few in full": {"items": batch_items("enroll")[:25]},
        "few with unknown fields": {"items": [*batch_items("enroll")[:5], *[bad] * 20]},
    }

    costs = costs_of(
        api, "POST", BATCH, ((name, json.dumps(body, ensure_ascii=False)) for name, body in bodies.items())
    )

    assert over_budget(costs) == {}
    assert [costs[name].status for name in bodies] == [422, 422, 207, 200, 207, 200, 200, 207]


def test_no_json_syntax_costs_more_than_a_second(api: APIClient):
    costs = costs_of(api, "POST", "/api/v1/students", SYNTAX.items())

    assert over_budget(costs) == {}


# Queries and headers

QUERY = 100_000  # bytes: more than the server accepts in a request line


def query_texts(size: int) -> dict[str, str]:
    texts = {"commas": "a,", "numbers": "1,", "words": "a+", "marks": quote(MARKS), "digits": "1", "blanks": "%C2%A0"}
    return {name: unit * (size // len(unit)) for name, unit in texts.items()}


def read_operations() -> Iterator[tuple[str, list[str]]]:
    """Yield every address with a GET operation, and its query parameters."""
    for path, methods in DOCUMENT["paths"].items():
        if "get" in methods:
            parameters = map(resolve_reference, methods["get"].get("parameters", []))
            yield path, [each["name"] for each in parameters if each["in"] == "query"]


@pytest.mark.parametrize(("path", "names"), list(read_operations()), ids=[path for path, _names in read_operations()])
def test_no_query_costs_more_than_a_second(api: APIClient, path_values, path, names):
    share = QUERY // max(len(names), 1)
    queries = {what: "&".join(f"{name}={text}" for name in names or ["x"]) for what, text in query_texts(share).items()}
    queries["unknown"] = "&".join(f"x{n}={n}" for n in range(2_400))
    queries["a long name"] = "x" * QUERY + "=1"
    queries["repeated"] = "&".join(f"{name}=a" for name in names or ["x"] for _n in range(2_400 // max(len(names), 1)))

    address = path.format(**path_values)
    costs = {what: cost_of(lambda query=query: api.get(f"{address}?{query}")) for what, query in queries.items()}  # type: ignore[misc]

    assert over_budget(costs) == {}


@pytest.mark.parametrize("unit", ["a/b;q=0.1,", 'W/"a",', "1.1.1.1,", "'\\", " "])
def test_no_header_costs_more_than_a_second(api: APIClient, client: Client, path_values, unit):
    """Every header that the code reads, with the maximum length that the server accepts."""
    names = [
        *("Accept", "Accept-Charset", "Accept-Language", "Content-Type", "Forwarded", "Host", "Idempotency-Key"),
        *("If-Match", "If-None-Match", "If-Modified-Since", "Range", "X-Forwarded-For", "X-Forwarded-Proto"),
        *("Authorization", "Cookie", "Origin", "Referer", "X-CSRFToken", "Content-Length", "Content-Encoding"),
    ]
    value = unit * (60_000 // len(unit))
    student = f"/api/v1/students/{path_values['student_id']}"
    costs = {}
    for name in names:
        costs[name, "PATCH"] = cost_of(lambda: api.generic("PATCH", student, "{}", JSON, headers={name: value}))  # noqa: B023
        costs[name, "login"] = cost_of(lambda: client.post("/admin/login/", {}, headers={name: value}))  # noqa: B023

    assert over_budget(costs) == {}
