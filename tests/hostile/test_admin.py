"""Hostile input to the admin: filters, orders, pages, searches, ids, forms, actions, popups, files, login."""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.hostile.cases import HUGE, row_counts
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported

pytestmark = pytest.mark.django_db

MODELS = ("students/student", "courses/course", "courses/term", "students/studentcourse", "bulk/import")
EDITED = MODELS[:3]
NO_TEXT = {"NUL": "%00", "an unpaired surrogate": "%ED%A0%80", "bad UTF-8": "%FF"}
PAGE, FORBIDDEN, REDIRECT, MALFORMED, NOT_FOUND = 200, 403, 302, 400, 404


@dataclass(frozen=True)
class Case:
    """A path in the admin, a form for a POST, and the allowed statuses of the response."""

    path: str
    statuses: tuple[int, ...]
    form: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def list_cases() -> list[Case]:
    queries = [
        *(f"{what}={text}" for what, text in product(["q", "o", "p", "x"], ["", "x", "-1", *HUGE.values()])),
        *(f"id__exact={text}" for text in ["", "x", "-1", "1.5", *HUGE.values()]),
        "id__in=x,y",
        f"id__in={'1,' * 2_000}",
        "id__nonsense=1",
        "password=1",
        "is_popup=1",
        "_popup=1",
        "_to_field=password",
        "_to_field=id",
        "_to_field=%C3%A4",
        "_changelist_filters=%25",
        "all=",
        "e=1",
        "o=1.1.1.1.1",
        "o=--1",
        "o=999999999999999999999",
        "q=" + "a+" * 3_000,
        "q='; DROP TABLE",
        "history_user__password=1",
    ]
    found = [Case(f"{model}/?{query}", (PAGE, REDIRECT, MALFORMED)) for model, query in product(MODELS, queries)]
    texts = [
        Case(f"{model}/?{what}={text}", (MALFORMED,))
        for model, what, text in product(MODELS, ["q", "id__exact", "o"], NO_TEXT.values())
    ]
    filters = [
        Case(f"{path}={text}", (PAGE, REDIRECT, MALFORMED))
        for path, text in product(
            [
                "students/studentcourse/?course__term__id__exact",
                "students/studentcourse/?student__id__exact",
                "students/studentcourse/?status__exact",
                "students/studentcourse/?course__level__exact",
                "courses/course/?seats",
                "courses/course/?term__id__exact",
                "courses/course/?is_active__exact",
                "courses/course/?term__isnull",
                "bulk/import/?state__exact",
            ],
            ["x", "-1", str(2**70), "9" * 5_000, "", "True,False"],
        )
    ]
    return [*found, *texts, *filters]


def path_cases() -> list[Case]:
    ids = ["x", "-1", "0", "1.5", "_5F", "_00", "a_2Fb", "%D9%A3", "%20", "None", "__class__", *HUGE.values()]
    pages = [
        Case(
            f"{model}/{text}/{page}/", (NOT_FOUND, REDIRECT, MALFORMED) if page == "history" else (NOT_FOUND, REDIRECT)
        )
        for model, text, page in product(MODELS, ids, ["change", "history", "delete"])
        if (model, page) not in {("bulk/import", "delete"), ("students/studentcourse", "delete")}
    ]
    texts = [
        Case(f"{model}/{text}/change/", (NOT_FOUND, REDIRECT)) for model, text in product(MODELS, NO_TEXT.values())
    ]
    versions = [
        Case(f"{model}/{{{name}}}/history/{text}/", (NOT_FOUND, REDIRECT, MALFORMED))
        for (model, name), text in product(zip(EDITED, ("student", "course", "term"), strict=True), ids)
    ]
    imports = [
        Case(f"bulk/import/{text}/{page}/", (NOT_FOUND, REDIRECT))
        for text, page in product([*HUGE.values(), "0", "x"], ["live", "report", "failed-rows"])
    ]
    others = [
        Case("bulk/import/{job}/report/?part=x", (NOT_FOUND,)),
        Case("bulk/import/{job}/change/?page=x", (PAGE,)),
        Case(f"bulk/import/{{job}}/change/?page={'9' * 5_000}", (PAGE,)),
        Case("bulk/import/{job}/approve/", (405,)),
        Case("nonsense/", (NOT_FOUND,)),
        Case("students/nonsense/", (NOT_FOUND,)),
        Case(f"r/1/{'9' * 5_000}/", (NOT_FOUND,)),
        Case("r/999999999999/1/", (NOT_FOUND,)),
        Case("r/x/x/", (NOT_FOUND,)),
        Case("jsi18n/?language=%25", (PAGE,)),
    ]
    return [*pages, *texts, *versions, *imports, *others]


def autocomplete_cases() -> list[Case]:
    whole = {"app_label": "students", "model_name": "studentcourse", "field_name": "student", "term": "a"}
    return [
        Case("autocomplete/?" + "&".join(f"{key}={text}" for key, text in {**whole, name: value}.items()), statuses)
        for name, value, statuses in [
            ("app_label", "x", (FORBIDDEN,)),
            ("model_name", "x", (FORBIDDEN,)),
            ("field_name", "x", (FORBIDDEN,)),
            ("field_name", "grade", (FORBIDDEN,)),
            ("field_name", "student__id", (FORBIDDEN,)),
            ("app_label", "auth", (FORBIDDEN,)),
            ("term", "%00", (MALFORMED,)),
            ("term", "%FF", (MALFORMED,)),
            ("term", "a" * 5_000, (PAGE,)),
            ("page", "x", (NOT_FOUND,)),
            ("page", "-1", (NOT_FOUND,)),
            ("page", "9" * 5_000, (NOT_FOUND,)),
            ("page", str(2**63), (NOT_FOUND,)),
        ]
    ] + [Case("autocomplete/", (FORBIDDEN,))]


def form_cases() -> list[Case]:
    good = {
        "students/student": {"student_number": "S", "given_name": "A", "family_name": "B", "email": ""},
        "courses/course": {"code": "C", "name": "A", "level": "advanced", "prerequisites": ""},
        "courses/term": {"code": "T", "name": "A", "starts_on": "2026-01-01", "ends_on": "2026-02-01"},
        "students/studentcourse": {"student": "1", "course": "x"},
    }
    texts = ["\0", "a\0b", "a" * 5_000, "\r\n", "\u202e/", "@"]
    by_text = [
        Case(f"{model}/add/", (PAGE,), {**form, next(iter(form)): text})
        for (model, form), text in product(good.items(), texts)
    ]
    numbers = ["x", "-1", "1.5", "NaN", "1e400", "\u0665x", "\0", *HUGE.values()]
    by_number = [
        Case(f"{model}/add/", (PAGE, MALFORMED), {**good[model], name: text})
        for (model, name), text in product(
            [
                ("courses/course", "capacity"),
                ("courses/course", "waitlist_capacity"),
                ("courses/course", "term"),
                ("students/studentcourse", "student"),
            ],
            numbers,
        )
    ]
    days = ["0000-01-01", "10000-01-01", "2026-02-30", "x", "\0", "9" * 5_000]
    by_day = [
        Case("courses/term/add/", (PAGE,), {**good["courses/term"], name: text})
        for name, text in product(["starts_on", "drop_deadline"], days)
    ]
    instants = [
        Case("courses/course/add/", (PAGE,), {**good["courses/course"], f"enrollment_opens_at_{part}": text})
        for part, text in product("01", ["x", "\0", "0000-01-01", "25:00"])
    ]
    popups = [
        Case(f"{path}?_popup=1&_to_field={text}", (MALFORMED, PAGE, REDIRECT), form)
        for path, text, form in product(
            ["courses/term/add/", "courses/term/{term}/change/"],
            ["password", "x__y", "%C3%A4", "9" * 500],
            [None, {**good["courses/term"], "code": "\0"}],
        )
    ]
    actions = [
        Case(f"{model}/", (PAGE, REDIRECT, MALFORMED), {"action": action, "_selected_action": chosen, "index": index})
        for model, action, chosen, index in [
            *product(["students/studentcourse"], ["drop", "undo"], ["x", "\0", *HUGE.values()], ["0"]),
            *product(
                ["students/studentcourse"], ["x", "\0", "__class__", "delete_selected"], ["1"], ["0", "x", "9" * 5_000]
            ),
            *product(["students/student"], ["delete_selected"], ["x", "\0", *HUGE.values()], ["0", "-1"]),
        ]
    ]
    endings = [
        Case(
            "students/studentcourse/",
            (PAGE, REDIRECT),
            {"action": "drop", "_selected_action": "{enrollment}", name: text},
        )
        for name, text in product(["grade", "reason"], ["\0", "a" * 5_000])
    ]
    endings += [
        Case(
            "students/studentcourse/act/",
            (PAGE, REDIRECT),
            {"action": action, "chosen": "{enrollment}", "step": "confirm", "shown": "x", name: text},
        )
        for action, name, text in product(
            ["drop", "complete", "undo", "promote", "x", "\0"],
            ["grade", "reason", "waive", "chosen", "next", "shown", "step"],
            ["\0", "x", "a" * 5_000, *HUGE.values()],
        )
    ]
    return [*by_text, *by_number, *by_day, *instants, *popups, *actions, *endings]


def upload_cases() -> list[Case]:
    options = {"kind": "students", "mode": "delta", "dataset": "default"}
    file = b"student_number\nA\n"
    cases: list[dict[str, Any]] = [
        {},
        {"file": SimpleUploadedFile("a.csv", file), "kind": "x"},
        {"file": SimpleUploadedFile("a.csv", file), "kind": "\0"},
        {"file": SimpleUploadedFile("a.csv", file), "mode": "x"},
        {"file": SimpleUploadedFile("a.csv", file), "mode": "full", "scope": "x", "kind": "enrollments"},
        {"file": SimpleUploadedFile("a.csv", file), "mode": "full", "scope": "\0", "kind": "enrollments"},
        {"file": SimpleUploadedFile("a.csv", file), "dataset": "\0"},
        {"file": SimpleUploadedFile("a.csv", file), "dataset": "a" * 65},
        {"file": SimpleUploadedFile("a.csv", file), "mode": "\0"},
        {"file": "no file"},
    ]
    return [Case("bulk/import/add/", (PAGE,), {**options, **case}) for case in cases]


def login_cases() -> list[Case]:
    good = {"username": "registrar", "password": "wrong"}
    forms = [
        {**good, name: text}
        for name, text in product(good, ["\0", "a" * 5_000, "\ud800".encode("utf-8", "replace"), ""])
    ]
    return [
        *(Case("login/", (PAGE,), form) for form in forms),
        *(
            Case(f"login/?next={text}", (PAGE,))
            for text in ["//evil.example", "javascript:x", "%0D%0AX:y", "x" * 3_000]
        ),
        *(Case(f"login/?next={text}", (MALFORMED,)) for text in ["%00", "%FF"]),
        *(
            Case("students/student/", statuses, headers={"Cookie": cookie})
            for cookie, statuses in [
                ('sessionid="a\\000bcdefghijkl"', (MALFORMED,)),
                ('messages="\\000"', (MALFORMED,)),
                ("sessionid=" + "a" * 8_000, (REDIRECT,)),
                ("sessionid=\x80", (REDIRECT,)),
                ("messages=x; csrftoken=" + "a" * 500, (REDIRECT,)),
            ]
        ),
        Case("students/student/%00", (NOT_FOUND,)),
        Case("logout/", (REDIRECT,)),
        Case("password_change/", (REDIRECT,)),
    ]


def cases_for_every_model() -> list[Case]:
    """Cases for all registered models, including those that only a superuser can view."""
    models = [model._meta.label_lower.replace(".", "/") for model in admin.site._registry]
    queries = ["q=" + "a+" * 3_000, "p=x", "o=99", *(f"id__exact={text}" for text in ["x", *HUGE.values()])]
    ids = ["x", "-1", "_00", *HUGE.values()]
    return [
        *(Case(f"{model}/?{query}", (PAGE, REDIRECT, MALFORMED)) for model, query in product(models, queries)),
        *(Case(f"{model}/{text}/change/", (NOT_FOUND, REDIRECT)) for model, text in product(models, ids)),
    ]


FAMILIES = [list_cases, path_cases, autocomplete_cases, form_cases, upload_cases]


@pytest.fixture
def path_values() -> dict[str, int]:
    student, course, term = make_student(), make_course(), make_term()
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM)).enrollment
    assert enrollment is not None
    names = {"student": student, "course": course, "term": term, "enrollment": enrollment, "job": imported(ENROLLMENTS)}
    return {name: found.pk for name, found in names.items()}


def unexpected_responses(client: Client, cases: list[Case], path_values: dict[str, int]) -> list[str]:
    before, lines = row_counts(), []
    for case in cases:
        path = "/admin/" + case.path.format(**path_values)
        form = {
            key: text.format(**path_values) if key == "_selected_action" else text
            for key, text in (case.form or {}).items()
        }
        is_read = case.form is None
        answer: Any = client.get(path, headers=case.headers) if is_read else client.post(path, form)
        if answer.status_code not in case.statuses:
            lines.append(f"{path[:120]} {str(form)[:200]}: {answer.status_code}, and not one of {case.statuses}")
    lines += [f"{table} has other rows" for table, count in row_counts().items() if count != before[table]]
    print(*lines, sep="\n")  # pytest cuts lists short
    return lines


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_hostile_requests_of_a_registrar_are_answered_and_write_nothing(registrar_client, path_values, family):
    registrar_client.raise_request_exception = False

    assert unexpected_responses(registrar_client, family(), path_values) == []


def test_hostile_requests_of_a_superuser_are_answered_and_write_nothing(admin_client, path_values):
    admin_client.raise_request_exception = False

    assert unexpected_responses(admin_client, cases_for_every_model(), path_values) == []


def test_hostile_anonymous_logins_are_answered_and_write_nothing(client, path_values):
    client.raise_request_exception = False

    assert unexpected_responses(client, login_cases(), path_values) == []


def test_the_number_of_hostile_cases_does_not_shrink():
    assert len([case for family in [*FAMILIES, login_cases] for case in family()]) > 500
