"""The inputs that break Django's admin: filters, orders, pages, searches, ids, forms, actions, popups, files, login."""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from students.enrollment import enroll
from students.enrollment.commands import ActorContext
from students.models import Channel
from tests.bulk.work import ENROLLMENTS, imported
from tests.factories import make_course, make_student, make_term
from tests.hostile.cases import HUGE, rows

pytestmark = pytest.mark.django_db

MODELS = ("students/student", "courses/course", "courses/term", "students/studentcourse", "bulk/import")
EDITED = MODELS[:3]
NO_TEXT = {"NUL": "%00", "half a surrogate": "%ED%A0%80", "bad UTF-8": "%FF"}
AGAIN, TURNED_AWAY, ELSEWHERE, MALFORMED, MISSING = 200, 403, 302, 400, 404


@dataclass(frozen=True)
class Case:
    """A path below the admin, with a form where it is a POST, and the statuses that may answer it."""

    path: str
    statuses: tuple[int, ...]
    form: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def in_lists() -> list[Case]:
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
    found = [Case(f"{model}/?{query}", (AGAIN, ELSEWHERE, MALFORMED)) for model, query in product(MODELS, queries)]
    texts = [
        Case(f"{model}/?{what}={text}", (MALFORMED,))
        for model, what, text in product(MODELS, ["q", "id__exact", "o"], NO_TEXT.values())
    ]
    filters = [
        Case(f"{path}={text}", (AGAIN, ELSEWHERE, MALFORMED))
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


def in_paths() -> list[Case]:
    ids = ["x", "-1", "0", "1.5", "_5F", "_00", "a_2Fb", "%D9%A3", "%20", "None", "__class__", *HUGE.values()]
    pages = [
        Case(f"{model}/{text}/{page}/", (MISSING, ELSEWHERE, MALFORMED) if page == "history" else (MISSING, ELSEWHERE))
        for model, text, page in product(MODELS, ids, ["change", "history", "delete"])
        if (model, page) not in {("bulk/import", "delete"), ("students/studentcourse", "delete")}
    ]
    texts = [Case(f"{model}/{text}/change/", (MISSING, ELSEWHERE)) for model, text in product(MODELS, NO_TEXT.values())]
    versions = [
        Case(f"{model}/{{{name}}}/history/{text}/", (MISSING, ELSEWHERE, MALFORMED))
        for (model, name), text in product(zip(EDITED, ("student", "course", "term"), strict=True), ids)
    ]
    imports = [
        Case(f"bulk/import/{text}/{page}/", (MISSING, ELSEWHERE))
        for text, page in product([*HUGE.values(), "0", "x"], ["live", "report", "failed-rows"])
    ]
    others = [
        Case("bulk/import/{job}/report/?part=x", (MISSING,)),
        Case("bulk/import/{job}/change/?page=x", (AGAIN,)),
        Case(f"bulk/import/{{job}}/change/?page={'9' * 5_000}", (AGAIN,)),
        Case("bulk/import/{job}/approve/", (405,)),
        Case("nonsense/", (MISSING,)),
        Case("students/nonsense/", (MISSING,)),
        Case(f"r/1/{'9' * 5_000}/", (MISSING,)),
        Case("r/999999999999/1/", (MISSING,)),
        Case("r/x/x/", (MISSING,)),
        Case("jsi18n/?language=%25", (AGAIN,)),
    ]
    return [*pages, *texts, *versions, *imports, *others]


def in_autocompletes() -> list[Case]:
    whole = {"app_label": "students", "model_name": "studentcourse", "field_name": "student", "term": "a"}
    return [
        Case("autocomplete/?" + "&".join(f"{key}={text}" for key, text in {**whole, name: value}.items()), statuses)
        for name, value, statuses in [
            ("app_label", "x", (TURNED_AWAY,)),
            ("model_name", "x", (TURNED_AWAY,)),
            ("field_name", "x", (TURNED_AWAY,)),
            ("field_name", "grade", (TURNED_AWAY,)),
            ("field_name", "student__id", (TURNED_AWAY,)),
            ("app_label", "auth", (TURNED_AWAY,)),
            ("term", "%00", (MALFORMED,)),
            ("term", "%FF", (MALFORMED,)),
            ("term", "a" * 5_000, (AGAIN,)),
            ("page", "x", (MISSING,)),
            ("page", "-1", (MISSING,)),
            ("page", "9" * 5_000, (MISSING,)),
            ("page", str(2**63), (MISSING,)),
        ]
    ] + [Case("autocomplete/", (TURNED_AWAY,))]


def in_forms() -> list[Case]:
    good = {
        "students/student": {"student_number": "S", "given_name": "A", "family_name": "B", "email": ""},
        "courses/course": {"code": "C", "name": "A", "level": "advanced", "prerequisites": ""},
        "courses/term": {"code": "T", "name": "A", "starts_on": "2026-01-01", "ends_on": "2026-02-01"},
        "students/studentcourse": {"student": "1", "course": "x"},
    }
    texts = ["\0", "a\0b", "a" * 5_000, "\r\n", "\u202e/", "@"]
    by_text = [
        Case(f"{model}/add/", (AGAIN,), {**form, next(iter(form)): text})
        for (model, form), text in product(good.items(), texts)
    ]
    numbers = ["x", "-1", "1.5", "NaN", "1e400", "\u0665x", "\0", *HUGE.values()]
    by_number = [
        Case(f"{model}/add/", (AGAIN, MALFORMED), {**good[model], name: text})
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
        Case("courses/term/add/", (AGAIN,), {**good["courses/term"], name: text})
        for name, text in product(["starts_on", "drop_deadline"], days)
    ]
    instants = [
        Case("courses/course/add/", (AGAIN,), {**good["courses/course"], f"enrollment_opens_at_{part}": text})
        for part, text in product("01", ["x", "\0", "0000-01-01", "25:00"])
    ]
    popups = [
        Case(f"{path}?_popup=1&_to_field={text}", (MALFORMED, AGAIN, ELSEWHERE), form)
        for path, text, form in product(
            ["courses/term/add/", "courses/term/{term}/change/"],
            ["password", "x__y", "%C3%A4", "9" * 500],
            [None, {**good["courses/term"], "code": "\0"}],
        )
    ]
    actions = [
        Case(f"{model}/", (AGAIN, ELSEWHERE, MALFORMED), {"action": action, "_selected_action": chosen, "index": index})
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
            (AGAIN, ELSEWHERE),
            {"action": "drop", "_selected_action": "{enrollment}", name: text},
        )
        for name, text in product(["grade", "reason"], ["\0", "a" * 5_000])
    ]
    endings += [
        Case(
            "students/studentcourse/act/",
            (AGAIN, ELSEWHERE),
            {"action": action, "chosen": "{enrollment}", "step": "confirm", "shown": "x", name: text},
        )
        for action, name, text in product(
            ["drop", "complete", "undo", "promote", "x", "\0"],
            ["grade", "reason", "waive", "chosen", "next", "shown", "step"],
            ["\0", "x", "a" * 5_000, *HUGE.values()],
        )
    ]
    return [*by_text, *by_number, *by_day, *instants, *popups, *actions, *endings]


def in_uploads() -> list[Case]:
    wish = {"kind": "students", "on_error": "abort", "mode": "delta", "dataset": "default"}
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
        {"file": SimpleUploadedFile("a.csv", file), "on_error": "\0"},
        {"file": "no file"},
    ]
    return [Case("bulk/import/add/", (AGAIN,), {**wish, **case}) for case in cases]


def of_logins() -> list[Case]:
    good = {"username": "registrar", "password": "wrong"}
    forms = [
        {**good, name: text}
        for name, text in product(good, ["\0", "a" * 5_000, "\ud800".encode("utf-8", "replace"), ""])
    ]
    return [
        *(Case("login/", (AGAIN,), form) for form in forms),
        *(
            Case(f"login/?next={text}", (AGAIN,))
            for text in ["//evil.example", "javascript:x", "%0D%0AX:y", "x" * 3_000]
        ),
        *(Case(f"login/?next={text}", (MALFORMED,)) for text in ["%00", "%FF"]),
        *(
            Case("students/student/", statuses, headers={"Cookie": cookie})
            for cookie, statuses in [
                ('sessionid="a\\000bcdefghijkl"', (MALFORMED,)),
                ('messages="\\000"', (MALFORMED,)),
                ("sessionid=" + "a" * 8_000, (ELSEWHERE,)),
                ("sessionid=\x80", (ELSEWHERE,)),
                ("messages=x; csrftoken=" + "a" * 500, (ELSEWHERE,)),
            ]
        ),
        Case("students/student/%00", (MISSING,)),
        Case("logout/", (ELSEWHERE,)),
        Case("password_change/", (ELSEWHERE,)),
    ]


def at_everything_registered() -> list[Case]:
    """The models of the libraries too, which only a superuser sees."""
    models = [model._meta.label_lower.replace(".", "/") for model in admin.site._registry]
    queries = ["q=" + "a+" * 3_000, "p=x", "o=99", *(f"id__exact={text}" for text in ["x", *HUGE.values()])]
    ids = ["x", "-1", "_00", *HUGE.values()]
    return [
        *(Case(f"{model}/?{query}", (AGAIN, ELSEWHERE, MALFORMED)) for model, query in product(models, queries)),
        *(Case(f"{model}/{text}/change/", (MISSING, ELSEWHERE)) for model, text in product(models, ids)),
    ]


FAMILIES = [in_lists, in_paths, in_autocompletes, in_forms, in_uploads]


@pytest.fixture
def there() -> dict[str, int]:
    student, course, term = make_student(), make_course(), make_term()
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM)).enrollment
    assert enrollment is not None
    names = {"student": student, "course": course, "term": term, "enrollment": enrollment, "job": imported(ENROLLMENTS)}
    return {name: found.pk for name, found in names.items()}


def answers_gone_wrong(client: Client, cases: list[Case], there: dict[str, int]) -> list[str]:
    before, lines = rows(), []
    for case in cases:
        path = "/admin/" + case.path.format(**there)
        form = {
            key: text.format(**there) if key == "_selected_action" else text for key, text in (case.form or {}).items()
        }
        is_read = case.form is None
        answer: Any = client.get(path, headers=case.headers) if is_read else client.post(path, form)
        if answer.status_code not in case.statuses:
            lines.append(f"{path[:120]} {str(form)[:200]}: {answer.status_code}, and not one of {case.statuses}")
    lines += [f"{table} has other rows" for table, count in rows().items() if count != before[table]]
    print(*lines, sep="\n")  # pytest cuts lists short
    return lines


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_whatever_a_registrar_sends_is_answered_and_writes_nothing(registrars_desk, there, family):
    registrars_desk.raise_request_exception = False

    assert answers_gone_wrong(registrars_desk, family(), there) == []


def test_whatever_a_superuser_sends_is_answered_and_writes_nothing(admin_client, there):
    admin_client.raise_request_exception = False

    assert answers_gone_wrong(admin_client, at_everything_registered(), there) == []


def test_whatever_a_stranger_sends_is_answered_and_writes_nothing(client, there):
    client.raise_request_exception = False

    assert answers_gone_wrong(client, of_logins(), there) == []


def test_there_are_many_of_them():
    assert len([case for family in [*FAMILIES, of_logins] for case in family()]) > 500
