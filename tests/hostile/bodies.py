"""Hostile bodies: malformed JSON, invalid field values, forms and files."""

import json
from itertools import product
from typing import Any

from tests.hostile.addresses import METHODS
from tests.hostile.cases import Case

WRITES: dict[str, dict[str, Any]] = {
    "students": {"student_number": "S", "given_name": "A", "family_name": "B"},
    "courses": {"code": "C", "name": "A", "level": "advanced", "term": None},
    "terms": {"code": "T", "name": "A", "starts_on": "2026-01-01", "ends_on": "2026-02-01"},
    "students/batch": {"items": [{"student_number": "S", "given_name": "A", "family_name": "B"}]},
    "courses/batch": {"items": [{"code": "C", "name": "A", "level": "advanced"}]},
    "terms/batch": {"items": [{"code": "T", "name": "A", "starts_on": "2026-01-01", "ends_on": "2026-02-01"}]},
    "students/{student}/courses": {"course_id": 1},
    "enrollments/batch": {"items": [{"action": "enroll", "student_id": 1, "course_id": 1}]},
}
BROKEN_JSON = {
    "a truncated body": b'{"a": ',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus Infinity": b'{"a": -Infinity}',
    "infinite by its exponent": b'{"a": 1e400}',
    "5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "a name twice": b'{"a": 1, "a": 2}',
    "a name twice, once escaped": b'{"a": 1, "\\u0061": 2}',
    "a nested duplicate name": b'{"a": [{"b": 1, "b": 1}]}',
    "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
    "50 arrays": b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}",
    "bad UTF-8": b'{"a": "\xff"}',
    "an overlong NUL": b'{"a": "\xc0\x80"}',
    "a surrogate as bytes": b'{"a": "\xed\xa0\x80"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "an unpaired surrogate in a value": b'{"a": "\\ud800"}',
    "an unpaired surrogate in a name": b'{"\\udfff": 1}',
    "a nested unpaired surrogate": b'{"a": [{"b": ["\\ud83d"]}]}',
    "a single quote": b"{'a': 1}",
    "a comma too many": b'{"a": 1,}',
    "two values": b"{} {}",
    "a raw NUL": b'{"a": "\x00"}',
}


# Values that are invalid for every field, by type or length.
VALUES: list[Any] = ["\0", "a\0b", 1, True, [], {}, 10**30, "a" * 5_000, "\r\n"]


def with_value(path: str, name: str, value: Any) -> bytes:
    """Return a valid body except for one value."""
    return json.dumps({**WRITES[path], name: value}).encode()


def body_cases() -> list[Case]:
    broken = [
        Case(name, "POST", f"/api/v1/{path}", 400, "parse_error", body)
        for path, (name, body) in product(WRITES, BROKEN_JSON.items())
    ]
    shapes = [
        Case(f"{text} for an object", "POST", f"/api/v1/{path}", 400, "invalid", text.encode())
        for path, text in product(WRITES, ["", "null", "1", '"a"', "[]", "[{}]", "true", "{}"])
    ]
    fields = [
        Case(f"{name}={str(value)[:20]!r}", "POST", f"/api/v1/{path}", 400, "invalid", with_value(path, name, value))
        for path, good in WRITES.items()
        if path in ("students", "courses", "terms")
        for name in good
        for value in VALUES
        if (name, value) not in [("given_name", "\r\n"), ("family_name", "\r\n")]  # a student may have only one name
    ]
    numbers = [
        Case(f"{name} of {value}", "POST", "/api/v1/courses", 400, "invalid", with_value("courses", name, value))
        for name, value in product(
            ["capacity", "waitlist_capacity"], [2**31, 2**63, 10**30, -1, 1.5, "1", True, [], {}]
        )
    ]
    ids = [
        Case(
            f"course_id {value}",
            "POST",
            "/api/v1/students/{student}/courses",
            status,
            code,
            json.dumps({"course_id": value}).encode(),
        )
        for value, status, code in [
            (2**31, 404, "course_not_found"),
            (2**63 - 1, 404, "course_not_found"),
            (2**63, 400, "invalid"),
            (10**30, 400, "invalid"),
            (0, 400, "invalid"),
            (-1, 400, "invalid"),
            (1.0, 400, "invalid"),
            ("1", 400, "invalid"),
            (True, 400, "invalid"),
            (None, 400, "invalid"),
            ([1], 400, "invalid"),
        ]
    ]
    days = [
        Case(
            f"{name} {day}",
            "POST",
            "/api/v1/terms",
            400,
            "invalid",
            with_value("terms", name, day),
        )
        for name, day in product(
            ["starts_on", "ends_on"], ["0000-01-01", "10000-01-01", "0001-01-01", "9999-12-31", "2026-02-30", "", 0]
        )
    ]
    instants = [
        Case(
            f"{name} {at}",
            "POST",
            "/api/v1/courses",
            400,
            "invalid",
            with_value("courses", name, at),
        )
        for name, at in product(
            ["enrollment_opens_at", "enrollment_closes_at"],
            [
                "0000-01-01T00:00:00Z",
                "10000-01-01T00:00:00Z",
                "0001-01-01T00:00:00+14:00",
                "9999-12-31T23:59:59-14:00",
                "2026-01-01T25:00:00Z",
                "2026-01-01T00:00:00+99:00",
                "now",
                0,
            ],
        )
    ]
    others = [
        Case(
            "prerequisites in each other",
            "POST",
            "/api/v1/courses",
            400,
            "invalid",
            with_value("courses", "prerequisites", [["A"]]),
        ),
        Case(
            "prerequisites with NUL",
            "POST",
            "/api/v1/courses",
            400,
            "invalid",
            with_value("courses", "prerequisites", ["\0"]),
        ),
        Case(
            "an unknown field",
            "POST",
            "/api/v1/students",
            400,
            "invalid",
            with_value("students", "__class__", 1),
        ),
        Case(
            "1,001 items",
            "POST",
            "/api/v1/enrollments/batch",
            413,
            "too_many_items",
            json.dumps({"items": [{}] * 1_001}).encode(),
        ),
        Case(
            "a term of an object",
            "POST",
            "/api/v1/courses",
            400,
            "invalid",
            with_value("courses", "term", {"code": "A"}),
        ),
        Case(
            "a term with NUL",
            "POST",
            "/api/v1/courses",
            400,
            "invalid",
            with_value("courses", "term", "\0"),
        ),
    ]
    large = [
        Case("a body too large", method, f"/api/v1/{path}", 413, "body_too_large", b" " * 2_700_000)
        for path, methods in METHODS.items()
        for method in methods.split()
        if path != "imports"
    ]
    return [*broken, *shapes, *fields, *numbers, *ids, *days, *instants, *others, *large]


UNKNOWN = "unsupported_media_type"


def import_cases() -> list[Case]:
    form = b'--a\r\nContent-Disposition: form-data; name="kind"\r\n\r\nstudents\r\n--a--\r\n'
    multipart = "multipart/form-data; boundary=a"
    forms: list[tuple[str, bytes, str, str]] = [
        ("no boundary", form, "multipart/form-data", "parse_error"),
        ("an empty boundary", form, "multipart/form-data; boundary=", "parse_error"),
        ("a boundary of 5,000", form, f"multipart/form-data; boundary={'a' * 5_000}", UNKNOWN),
        ("another boundary", form, "multipart/form-data; boundary=b", "invalid"),
        ("half a form", form[:40], multipart, "invalid"),
        ("nothing", b"", multipart, "invalid"),
        ("noise", b"\x00\xff" * 500, multipart, "invalid"),
        ("no file", form, multipart, "invalid"),
        ("NUL in a field", form.replace(b"students", b"a\0"), multipart, "parse_error"),
        ("NUL in a name", form.replace(b"kind", b"ki\0nd"), multipart, "parse_error"),
        (
            "bad base64",
            form.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n!", 1),
            multipart,
            "invalid",
        ),
        ("2,501 fields", form.replace(b"--a--\r\n", b"") * 2_501 + b"--a--\r\n", multipart, "bad_request"),
        ("a header without an end", b"--a\r\nContent-Disposition: " + b"a" * 50_000, multipart, "parse_error"),
    ]
    charset = Case(
        "a form in UTF-16",
        "POST",
        "/api/v1/imports",
        415,
        "unsupported_media_type",
        form,
        f"{multipart}; charset=utf-16",
    )
    queries = [
        Case(f"the options {query[:30]}", "POST", f"/api/v1/imports?{query}", 400, code, b"a,b\n", "text/csv")
        for query, code in [
            ("", "invalid"),
            ("kind=x", "invalid_choice"),
            ("kind=students&x=1", "invalid"),
            ("kind=students&mode=x", "invalid"),
            ("kind=students&dataset=" + "a" * 65, "invalid"),
            ("kind=students&dataset=%0A", "invalid"),
            ("kind=students&again=x", "invalid"),
            ("kind=%00", "bad_request"),
            ("kind=enrollments&mode=full&scope=x", "invalid_scope"),
        ]
    ]
    wrong = [b'"a"', b'""', b"[1]", b"[]", b"null", b"0", b"false", b'{"x": 1}', b'{"dry_run": "yes"}']
    acts = [
        Case(f"{verb} with {body!r}", "POST", f"/api/v1/imports/{{job}}/{verb}", 400, "invalid", body)
        for verb, body in product(["approve", "cancel", "undo"], wrong)
    ]
    return [
        *(
            Case(f"a form, {name}", "POST", "/api/v1/imports", 415 if code == UNKNOWN else 400, code, body, kind)
            for name, body, kind, code in forms
        ),
        charset,
        *queries,
        *acts,
    ]
