"""Invalid meetings, credits and lists are refused at every entry point, by code and field, and change nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from courses.models import Course, Term
from students.models import Student
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import commanded, fault_of_row, uploaded

pytestmark = pytest.mark.django_db

MONDAY = {"day": "mon", "from": "10:00", "to": "11:30"}
EARLY, LATE = "2026-09-01", "2026-10-01"

# The value in the API, its text in files and forms, and the code.
Value = tuple[Any, str, str]
MEETINGS: list[Value] = [
    ([{**MONDAY, "to": "09:00"}], "mon 10:00-09:00", "times_reversed"),
    ([{**MONDAY, "to": "10:00"}], "mon 10:00-10:00", "times_reversed"),
    ([MONDAY, {**MONDAY, "from": "11:29", "to": "12:00"}], "mon 10:00-11:30; mon 11:29-12:00", "meetings_overlap"),
    ([MONDAY, MONDAY], "mon 10:00-11:30; mon 10:00-11:30", "meetings_overlap"),
    ([{**MONDAY, "day": "someday"}], "someday 10:00-11:30", "invalid_choice"),
    ([{**MONDAY, "day": "8"}], "8 10:00-11:30", "invalid_choice"),
    ([{**MONDAY, "from": "24:00", "to": "25:00"}], "mon 24:00-25:00", "invalid_time"),
    ([{**MONDAY, "from": "1\u0660:00"}], "mon 1\u0660:00-11:30", "invalid_time"),
    ([{**MONDAY, "to": "1\uff11:30"}], "mon 10:00-1\uff11:30", "invalid_time"),
    ([{**MONDAY, "starts_on": LATE, "ends_on": EARLY}], f"mon 10:00-11:30 {LATE}..{EARLY}", "dates_reversed"),
    ([{**MONDAY, "starts_on": "2026-02-30"}], "mon 10:00-11:30 2026-02-30..", "invalid_date"),
    ([{**MONDAY, "starts_on": "2026-0\u0661-05"}], "mon 10:00-11:30 2026-0\u0661-05..", "invalid_date"),
    ([{**MONDAY, "starts_on": "0999-02-01"}], "mon 10:00-11:30 0999-02-01..", "year_out_of_range"),
]
CREDITS: list[Value] = [
    (-1, "-1", "min_value"),
    (-0.01, "-0.01", "min_value"),
    (1000, "1000", "max_whole_digits"),
    (123456, "123456", "max_digits"),
    (2.125, "2.125", "max_decimal_places"),
]
CODES = [f"C-{number}" for number in range(51)]
LISTS: list[Value] = [(CODES, ", ".join(CODES), "max_length")]
BAD: dict[tuple[str, str], list[Value]] = {
    ("courses", "meetings"): MEETINGS,
    ("courses", "credits"): CREDITS,
    ("courses", "prerequisites"): LISTS,
    ("courses", "corequisites"): LISTS,
    ("terms", "max_credits"): CREDITS,
    ("students", "max_credits"): CREDITS,
}

KEYS = {"courses": "code", "terms": "code", "students": "student_number"}
COLUMNS = {"courses": "course_code", "terms": "term", "students": "student_number"}
PAGES = {"courses": "courses/course", "terms": "courses/term", "students": "students/student"}
VALID: dict[str, dict[str, Any]] = {
    "courses": {"name": "Calculus", "level": "introductory"},
    "terms": {"name": "Fall", "starts_on": "2026-09-01", "ends_on": "2027-01-31"},
    "students": {"given_name": "Ada", "family_name": "Byron"},
}
MODELS: dict[str, Any] = {"courses": Course, "terms": Term, "students": Student}

# The status of the answer, or the number of the row of a report, and the codes and fields of the errors.
Answer = tuple[int, list[tuple[str, str]]]
EntryPoint = Callable[[APIClient, Client, str, str, Value], Answer]


def existing(kind: str) -> Any:
    return MODELS[kind].objects.get(**{KEYS[kind]: "OLD"})


def _api(method: str, path: str, with_key: str = "") -> EntryPoint:
    """Return the entry point of a request for one row. ``path`` is the end of its path."""

    def send(api: APIClient, desk: Client, kind: str, name: str, value: Value) -> Answer:
        url = f"/api/v1/{kind}{path.format(id=existing(kind).pk, key=KEYS[kind].removeprefix('student_'))}"
        key = {KEYS[kind]: with_key} if with_key else {}
        answer = getattr(api, method)(url, {**key, **(VALID[kind] if method != "patch" else {}), name: value[0]})
        return answer.status_code, [(each["code"], each["field"]) for each in answer.json()["errors"]]

    return send


def _batch(code: str) -> EntryPoint:
    """Return the entry point of a batch with the row and a valid one, of which none is saved."""

    def send(api: APIClient, desk: Client, kind: str, name: str, value: Value) -> Answer:
        items = [{KEYS[kind]: code, **VALID[kind], name: value[0]}, {KEYS[kind]: "GOOD", **VALID[kind]}]
        answer = api.post(f"/api/v1/{kind}/batch", {"items": items, "atomic": True})
        first, second = answer.json()["outcomes"]
        assert (answer.status_code, first["status"], second["status"]) == (422, "refused", "not_applied")
        return 400, [(each["code"], each["field"]) for each in first["errors"]]

    return send


def _text_of_file(kind: str, code: str, name: str, text: str) -> str:
    cells = [code, *VALID[kind].values(), f'"{text}"']
    return f"{','.join([COLUMNS[kind], *VALID[kind], name])}\n{','.join(cells)}\n"


def _command(code: str) -> EntryPoint:
    def send(api: APIClient, desk: Client, kind: str, name: str, value: Value) -> Answer:
        return fault_of_row(commanded(kind, _text_of_file(kind, code, name, value[1])))

    return send


def _upload(code: str) -> EntryPoint:
    def send(api: APIClient, desk: Client, kind: str, name: str, value: Value) -> Answer:
        return fault_of_row(uploaded(api, kind, _text_of_file(kind, code, name, value[1])))

    return send


def _form(ending: str) -> EntryPoint:
    """Return the entry point of a form of the admin: to add, to change, or to restore an earlier version."""

    def send(api: APIClient, desk: Client, kind: str, name: str, value: Value) -> Answer:
        row = existing(kind)
        path = ending.format(id=row.pk, version=row.history.latest().pk)
        code = "NEW" if path == "add/" else "OLD"
        number = {"waitlist_capacity": 0} if kind == "courses" else {}
        form = {KEYS[kind]: code, **VALID[kind], "is_active": "on", **number, name: value[1]}
        page = desk.post(f"/admin/{PAGES[kind]}/{path}", form)
        errors = page.context["adminform"].form.errors.as_data()
        return 400, [(each.code, field) for field, them in errors.items() for each in them]

    return send


ENTRY_POINTS: dict[str, EntryPoint] = {
    "POST": _api("post", "", "NEW"),
    "PUT": _api("put", "/{id}", "OLD"),
    "PUT by key, new": _api("put", "/{key}:NEW"),
    "PUT by key": _api("put", "/{key}:OLD"),
    "PATCH": _api("patch", "/{id}"),
    "batch, new": _batch("NEW"),
    "batch": _batch("OLD"),
    "command, new": _command("NEW"),
    "command": _command("OLD"),
    "upload, new": _upload("NEW"),
    "upload": _upload("OLD"),
    "form to add": _form("add/"),
    "form to change": _form("{id}/change/"),
    "form to restore": _form("{id}/history/{version}/"),
}
FILES = {name for name in ENTRY_POINTS if name.startswith(("command", "upload"))}


def all_rows() -> list[Any]:
    models = [each for model in MODELS.values() for each in (model, model.history.model)]
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
@pytest.mark.parametrize(("kind", "name"), BAD)
def test_an_invalid_value_is_refused_at_every_entry_point(entry_point, kind, name, api, registrar_client):
    make_course(code="OLD")
    make_term(code="OLD")
    make_student(student_number="OLD")
    before = all_rows()
    values = BAD[kind, name]

    answers = [ENTRY_POINTS[entry_point](api, registrar_client, kind, name, value) for value in values]

    status = 2 if entry_point in FILES else 400
    assert answers == [(status, [(code, name)]) for _value, _text, code in values]
    assert all_rows() == before
