"""
The worst forms and files of each content type at every page stay within the cost budget.

The pages come from the URL configuration and the fields from the pages, so new ones are covered.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import cycle
from urllib.parse import quote

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from courses.models import Course
from school.admin_site.deletion import MAX_SELECTED as MOST_TO_DELETE
from school.admin_site.stale_forms import MAX_NEW_ROWS
from school.http.form_limits import MAX_TEXT, MAX_VALUES
from school.http.request_checks import MAX_FORM_BYTES
from students.models import Student, StudentCourse
from tests.support.costs import MARKS, MULTIPART, SIZE, UNITS, Cost, cost_of, over_budget
from tests.support.factories import make_course
from tests.support.serving import FORM

pytestmark = pytest.mark.django_db

URLENCODED = FORM["Content-Type"]
ENROLL_MANY = "/admin/students/studentcourse/enroll-many/"
SWITCHED_ON = {
    "SECOND_FACTOR": "offered",
    "OIDC_ISSUER": "https://login.invalid",
    "OIDC_CLIENT_ID": "id",
    "OIDC_CLIENT_SECRET": "secret",
    "OIDC_CLAIM": "email",
}


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    """Yield every route of the URL configuration."""
    for each in resolver.url_patterns:
        route = f"{prefix}{each.pattern}"
        if isinstance(each, URLResolver):
            yield from routes(each, route)
        elif isinstance(each, URLPattern):
            yield route


def address_of(route: str) -> str:
    """Return an address for a route, with 1 for every id and every page number."""
    return "/" + re.sub(r"<[^>]*>|\([^)]*\)", "1", route).translate(dict.fromkeys(map(ord, "\\^$")))


PAGES = sorted(
    {
        address_of(route)
        for route in routes(get_resolver())
        if not route.startswith(("api/", "admin/jsi18n", "admin/logout", "accounts/logout"))
    }
)
ACCOUNTS = [path for path in PAGES if path.startswith("/accounts/")]
# The exports of lists are left out: they are files, as long as their lists.
DESK = [path for path in PAGES if path not in ACCOUNTS and not path.endswith("/export/")]
LISTS = [path for path in PAGES if re.fullmatch(r"/admin/[a-z_0-9]+/[a-z_]+/", path)]


@pytest.fixture
def root(db: None, client: Client) -> Client:
    """Return a client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("root", password="open sesame"))
    return client


def fields_of(page: str) -> list[str]:
    """Return the field names of a page, and those that its script or a bulk action sends."""
    found = re.findall(r'<(?:input|select|textarea)[^>]*\bname="([^"]+)"', page)
    more = ["_selected_action", "action", "chosen", "next", "username", "password", "text", "client_secret", "scope"]
    return sorted({*found, *more})


def urlencoded_form(names: list[str], units: Iterable[str], size: int, start: str = "") -> str:
    """Return a form of this many bytes, divided among the values of the given fields."""
    share = size // len(names) - max(map(len, names)) - len(start) - 2
    return "&".join(
        f"{name}={start}{unit * max(share // len(unit), 1)}" for name, unit in zip(names, cycle(units), strict=False)
    )


def multipart_form(names: list[str], unit: str, size: int, more: str = "") -> str:
    share = size // len(names) - max(map(len, names)) - len(more) - 60
    parts = (f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n' for name in names)
    return "".join(f"{part}{unit * max(share // len(unit), 1)}\r\n" for part in parts) + "--x--\r\n"


def worst_forms(page: str) -> Iterator[tuple[str, str, str]]:
    """Yield the worst forms for a page: the name, the body and the content type."""
    names = fields_of(page)
    yield "texts", urlencoded_form(names, map(quote, (MARKS, *UNITS)), MAX_FORM_BYTES), URLENCODED
    yield "quotes", urlencoded_form(names, ["'"], MAX_FORM_BYTES), URLENCODED
    yield "quotes in parts", multipart_form(names, "'", SIZE), MULTIPART
    yield "names of files", multipart_form(names, "x", 0, f"; filename={'*' * 20_000}"), MULTIPART
    few = [name for name in names if name not in ("text", "csrfmiddlewaretoken")]
    # The longest accepted texts: of a character that is escaped to six bytes, and of one that is not escaped.
    yield "accepted quotes", urlencoded_form(few, ["'"], MAX_TEXT // 6), URLENCODED
    yield "accepted letters", urlencoded_form(few, ["x"], MAX_TEXT), URLENCODED
    yield "accepted paths", urlencoded_form(few, ["'"], MAX_TEXT // 6, start="/"), URLENCODED
    for name in re.findall(r'<select[^>]*\bname="([^"]+)"[^>]*\bmultiple', page):
        yield f"{name} often", "&".join(f"{name}={n}" for n in range(1, 2_400)), URLENCODED
        yield f"{name} as often as accepted", "&".join(f"{name}={n}" for n in range(1, MAX_VALUES + 1)), URLENCODED
    for prefix in re.findall(r'\bname="([^"]+)-TOTAL_FORMS"', page):
        for name, total, initial in (("", 1_000, 0), ("taken ", MAX_NEW_ROWS, 0), ("old ", 1_000, 1_000)):
            rows = f"{prefix}-TOTAL_FORMS={total}&{prefix}-INITIAL_FORMS={initial}&{prefix}-MIN_NUM_FORMS=0"
            wrong = "".join(f"&{prefix}-{n}-course=999999" for n in range(min(total, 100)))
            yield f"{name}rows of {prefix}", f"{rows}{wrong}&{urlencoded_form(few[:5], ['x'], 1_000)}", URLENCODED


def costs_of_page(root: Client, path: str) -> dict[tuple[str, str], Cost]:
    page = root.get(path)
    text = "" if page.streaming else page.content.decode(errors="replace")
    session = root.cookies[settings.SESSION_COOKIE_NAME].value
    costs = {}
    for name, body, kind in worst_forms(text):
        root.cookies[settings.SESSION_COOKIE_NAME] = session
        with transaction.atomic():  # a form may delete the user or the session
            costs[path, name] = cost_of(lambda: root.generic("POST", path, body.encode(), kind))  # noqa: B023
            transaction.set_rollback(True)
    return costs


def costs_of_pages(root: Client, pages: list[str]) -> dict[tuple[str, str], Cost]:
    return {key: cost for path in pages for key, cost in costs_of_page(root, path).items()}


@pytest.mark.parametrize("pages", [DESK[n::4] for n in range(4)], ids=[f"part {n}" for n in range(4)])
def test_no_form_costs_more_than_a_second(root: Client, path_values, thousand_enrollments, pages):
    costs = costs_of_pages(root, pages)

    assert over_budget(costs) == {}
    assert len(costs) >= 7 * len(pages)


@pytest.mark.skipif(not ACCOUNTS, reason="the pages of accounts are switched off: the test below switches them on")
def test_no_account_form_costs_more_than_a_second(root: Client):
    costs = costs_of_pages(root, ["/admin/login/", *ACCOUNTS])
    root.logout()
    costs |= {(f"anonymous: {path}", name): cost for (path, name), cost in costs_of_account_pages(root).items()}

    assert over_budget(costs) == {}


def costs_of_account_pages(client: Client) -> dict[tuple[str, str], Cost]:
    client.cookies[settings.SESSION_COOKIE_NAME] = ""
    return costs_of_pages(client, ["/admin/login/", *ACCOUNTS])


@pytest.mark.skipif(bool(ACCOUNTS), reason="they are switched on")
def test_no_form_costs_more_than_a_second_with_mfa_and_sso_enabled():
    name = f"{__file__}::test_no_account_form_costs_more_than_a_second"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", name]
    # On a separate database: this process is connected to that of the tests.
    environment = {**os.environ, **SWITCHED_ON, "DATABASE_URL": "sqlite:///:memory:"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert (done.returncode, done.stdout.splitlines()[-1][:8]) == (0, "1 passed"), done.stdout[-3_000:]


# Pages with a thousand rows


@pytest.fixture
def thousand_enrollments(path_values: dict[str, str]) -> list[int]:
    """Enroll a thousand students with long names in a course with a long name; return the enrollment ids."""
    names = {"given_name": "'" * 150, "family_name": "\N{GRINNING FACE}" * 150}
    Student.objects.bulk_create(Student(student_number=f"S{n:04}", **names) for n in range(1_000))
    course = make_course(code=f"C{'x' * 60}", name="'" * 200)
    Course.objects.bulk_create(
        Course(code=f"MATH-{n}", name=f"Introduction to Mathematics {n}", level="advanced") for n in range(1_000)
    )
    rows = [
        StudentCourse(student=student, course=course, status="enrolled", enrolled_on="2026-09-01")
        for student in Student.objects.filter(given_name=names["given_name"])
    ]
    return [row.pk for row in StudentCourse.objects.bulk_create(rows)]


@pytest.mark.parametrize("chosen", ["100 rows", "1,000 rows", "unknown ids", "all rows"])
def test_no_bulk_action_costs_more_than_a_second(root: Client, thousand_enrollments, chosen):
    actions = ("delete_selected", "drop", "complete", "undo", "promote", "activate", "deactivate", "revoke_tokens")

    costs = {}
    models = {f".{model._meta.label_lower}.": model for model in apps.get_models()}
    for path in LISTS:
        model = models.get(path.removeprefix("/admin").replace("/", "."), Student)
        rows = model._default_manager.order_by("-pk").values_list("pk", flat=True)[:1_000]
        lists = {"100 rows": rows[:MOST_TO_DELETE], "1,000 rows": rows}  # the maximum for one deletion, and more
        ids = lists.get(chosen, range(10**18, 10**18 + 2_400))
        body = "&".join(f"_selected_action={n}" for n in ids) + f"&select_across={int(chosen == 'all rows')}"
        for action in actions:
            with transaction.atomic():
                costs[path, action] = cost_of(
                    lambda: root.generic("POST", path, f"action={action}&{body}", URLENCODED)  # noqa: B023
                )
                transaction.set_rollback(True)

    assert over_budget(costs) == {}
    assert {len(Course.objects.all()[:1_001]), len(Student.objects.all()[:1_001])} == {1_001}
    assert len(LISTS) >= 15


@pytest.mark.parametrize("more", [{}, {"reason": "'" * 1_001}, {"next": "/" + "'" * 1_600}], ids=["", "error", "next"])
@pytest.mark.parametrize("action", ["drop", "complete", "undo", "promote"])
def test_no_action_on_1000_enrollments_costs_more_than_a_second(root: Client, thousand_enrollments, action, more):
    form = {"action": action, "chosen": thousand_enrollments, **more}

    cost = cost_of(lambda: root.post("/admin/students/studentcourse/act/", form))

    assert (cost.status, over_budget({action: cost})) == (200, {})


def pasted_lines(key: str, beside: str = "") -> str:
    return "".join(f"{key % n}\t{beside}\n" if beside else f"{key % n}\n" for n in range(1_000))


def test_at_most_100_rows_are_deleted_at_a_time(root: Client):
    courses = [make_course().pk for _ in range(MOST_TO_DELETE + 1)]
    form = {"action": "delete_selected", "post": "yes", "_selected_action": courses}

    refused = root.post("/admin/courses/course/", form, follow=True)
    assert "At most 100 objects can be deleted at a time" in refused.content.decode()
    assert Course.objects.count() == MOST_TO_DELETE + 1

    root.post("/admin/courses/course/", {**form, "_selected_action": courses[1:]})
    assert [course.pk for course in Course.objects.all()] == courses[:1]


PASTED = {
    **{unit: unit * (100_000 // len(unit)) for unit in ("1\n", "\n", "1,", "1\t2\n", MARKS, '"', "'\n", "=1;")},
    "1,000 students": pasted_lines("S%04d"),
    "1,000 students with names": pasted_lines("S%04d", "'" * 90),
    "1,000 that are unknown": pasted_lines("'%04d"),
    "1,000 long ones that are unknown": pasted_lines("%04d" + "'" * 90),
    "1,000 named twice": pasted_lines("S%04d")[:3_000] * 2,
}


@pytest.mark.parametrize("valid", [True, False], ids=["", "wrong"])
@pytest.mark.parametrize("text", PASTED.values(), ids=map(repr, PASTED))
def test_no_pasted_text_costs_more_than_a_second(root: Client, thousand_enrollments, path_values, text, valid):
    form = {"one": path_values["course_id"], "side": "course", "text": text, "on_full": "reject" if valid else "x"}

    cost = cost_of(lambda: root.post(ENROLL_MANY, form))

    assert (cost.status, over_budget({"": cost})) == (200, {})


def test_no_listed_or_corrected_key_costs_more_than_a_second(root: Client, thousand_enrollments, path_values):
    form = {"one": path_values["course_id"], "side": "course", "text": pasted_lines("S%04d")}
    forms = {
        "listed": {**form, "listed": "'\n" * 100_000, "kept": ["'" * 90] * 1_000},
        "put right": {**form, **{f"fix:S{n:04}": "'" * 400 for n in range(1_000)}},
        "all of it": {
            **form,
            "text": pasted_lines("S%04d", "x")[: 9 * 300] + pasted_lines("%04d" + "'" * 10)[: 15 * 300],
            "reason": "'" * 900,
            "next": "/" + "'" * 700,
        },
        "picked": {**form, "picked": list(range(1, 2_001))},
        "picked as many as are taken": {**form, "picked": list(range(1, MAX_VALUES + 1)), "on_full": "x"},
    }

    costs = {name: cost_of(lambda sent=sent: root.post(ENROLL_MANY, sent)) for name, sent in forms.items()}  # type: ignore[misc]

    assert over_budget(costs) == {}


# Files, and bodies that are parsed before they are rejected


FILES = {
    "commas": (",", "," * 100 + "\n"),
    "columns": ("student_number,course_code\n", "1,2\n"),
    "unknown": ("student_number,course_code\n", "'" * 200 + ",'\n"),
    "quotes": ("student_number,course_code\n", '"'),
    "marks": (f"{MARKS * 1_000},course_code\n", f"{MARKS},2\n"),
    "no file": ("", "\0"),
}


@pytest.mark.parametrize("kind", ["students", "courses", "enrollments", "zip", "'" * 1_000])
def test_no_file_costs_more_than_a_second(api: APIClient, path_values, kind):
    costs = {}
    for name, (header, line) in FILES.items():
        body = (header + line * ((SIZE - len(header.encode())) // len(line.encode()))).encode()
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + body[:-1_000]
        sent = {
            "text/csv": body,
            "application/zip": b"PK\x03\x04" + body[:-4],
            MULTIPART: part + b"\r\n--x--\r\n",
            "application/json": body,
        }
        for content_type, data in sent.items():
            address = f"/api/v1/imports?kind={kind}&dataset={name}"
            costs[name, content_type] = cost_of(lambda: api.generic("POST", address, data, content_type))  # noqa: B023

    assert over_budget(costs) == {}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_csv_header_costs_more_than_a_second(api: APIClient, path_values, separator):
    file = separator.join(f"c{n}" for n in range(100_000)).encode()

    cost = cost_of(lambda: api.generic("POST", "/api/v1/imports?kind=students&dataset=x", file, "text/csv"))

    assert over_budget({separator: cost}) == {}


PARTS = {
    "many fields": ("a=&" * (MAX_FORM_BYTES // 3), URLENCODED),
    "percents": ("grant_type=" + "%41" * (MAX_FORM_BYTES // 3 - 10), URLENCODED),
    "separators": ("&" * MAX_FORM_BYTES, URLENCODED),
    "parts": ('--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * (SIZE // 54), MULTIPART),
    "files": ('--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n\r\n' * (SIZE // 68), MULTIPART),
    "boundaries": ("--x\r\n" * (SIZE // 5), MULTIPART),
    "almost boundaries": ("\r\n--" * (SIZE // 4), MULTIPART),
    "headers": ("--x\r\n" + "a: b\r\n" * (SIZE // 6 - 10), MULTIPART),
    "a header": ("--x\r\nContent-Disposition: form-data; name=" + ";a=" * (SIZE // 3 - 40) + "\r\n\r\n", MULTIPART),
    "base64": (
        '--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + " " * (SIZE - 200),
        MULTIPART,
    ),
}


@pytest.mark.parametrize(
    "path",
    ["/oauth/token", "/admin/login/", "/admin/students/student/add/", "/admin/bulk/import/add/", "/api/v1/imports"],
)
def test_parsing_a_form_costs_at_most_a_second(api: APIClient, root: Client, path):
    sender = api if path.startswith("/api/") else root

    costs = {
        name: cost_of(lambda body=body, kind=kind: sender.generic("POST", path, body.encode(), kind))  # type: ignore[misc]
        for name, (body, kind) in PARTS.items()
    }

    assert over_budget(costs) == {}
