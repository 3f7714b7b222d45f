"""The documentation is correct: its examples run, its lists are complete, and its links work."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.test import Client

from bulk.commands.import_command import ImportCommand
from bulk.importers.registry import importer_classes
from bulk.jobs.worker import run_worker
from courses.api_client_creation import Credentials, create_api_client
from students.api.problem_pages import code_descriptions
from students.enrollment.rules import RULES
from students.enrollment.transitions import ALLOWED_FROM
from students.imports import STATUS_TO_ACTION
from students.models import Action
from tests.support import contract
from tests.support.factories import make_course, make_student, make_term

ROOT = Path(settings.BASE_DIR)
DOCS = ROOT / "docs"
API = DOCS / "api"
PARTS = ("school", "bulk", "courses", "students", "oneroster", "webhooks")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
HOST = "127.0.0.1:8000"
PAGING = {"cursor", "page_size", "search", "ordering", "fields", "expand"}

# Volatile values by their name in a body: the expected shape, and the value compared instead.
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"), "<instant>"
DAY = re.compile(r"\d{4}-\d\d-\d\d"), "<day>"
CURSOR = re.compile(r"(?<=[?&]cursor=)[\w.-]+"), "<cursor>"
VOLATILE = {
    "at": INSTANT,
    "created_at": INSTANT,
    "placed_at": INSTANT,
    "updated_at": INSTANT,
    "enrolled_on": DAY,
    "ended_on": DAY,
    "request_id": (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    "cursor": (re.compile(r"([stce]?\d+(\.[0-9a-f]{16})?~?)+:[\w-]+"), "<cursor>"),
    "access_token": (re.compile(r"\w{30,}|TOKEN"), "<token>"),
    "next": CURSOR,
    "previous": CURSOR,
    "started_at": INSTANT,
    "finished_at": INSTANT,
    "next_attempt_at": INSTANT,
    "secret": (re.compile(r"whsec_[A-Za-z0-9+/]{43}="), "<secret>"),
    "message_id": (re.compile(r"ping_[0-9a-f]{24}"), "<id>"),
}


@dataclass(frozen=True)
class Message:
    """A request or a response: the first line, the headers and the body of a fenced block."""

    start: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Table:
    header: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> list[str]:
        """Return the cells of a column unchanged."""
        return [row[self.header.index(name)] for row in self.rows]


def exchanges(page: Path) -> list[tuple[Message, Message]]:
    """Return the requests of a page, each with the response that follows it."""
    messages = []
    for block in re.findall(r"^```http\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        head, _blank, body = block.partition("\n\n")
        start, _newline, headers = head.partition("\n")
        messages.append(Message(start.strip(), dict(message_from_string(headers).items()), body.strip()))
    return list(zip(messages[::2], messages[1::2], strict=True))


def api_pages() -> list[Path]:
    """Return the pages of the API in the order of the reference's index: their examples build on each other."""
    index = re.findall(r"^\d+\. \[[^]]+\]\(([a-z-]+\.md)\)", (API / "reference.md").read_text(), re.MULTILINE)
    return [API / name for name in index]


def tables(page: Path, *names: str) -> list[Table]:
    """Return the tables of a page that have these columns."""
    found = []
    for block in re.findall(r"^\|.*?(?=^[^|]|\Z)", page.read_text() + "\n", re.MULTILINE | re.DOTALL):
        lines = [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in block.strip().splitlines()]
        found.append(Table(lines[0], lines[2:]))
    return [table for table in found if set(names) <= set(table.header)]


def quoted(cells: list[str]) -> list[str]:
    """Return the texts in backticks in these cells."""
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_volatile_values(node: Any, name: str = "") -> Any:
    """Return a body with every volatile value replaced, if the value has the expected shape."""
    if isinstance(node, dict):
        return {key: without_volatile_values(value, key) for key, value in node.items()}
    if isinstance(node, list):
        return [without_volatile_values(value, name) for value in node]
    if name in ("rows_per_second", "student_id") and node is not None:
        return "<number>"  # a preview uses up ids on PostgreSQL
    if isinstance(node, str) and name in VOLATILE:
        shape, stand_in = VOLATILE[name]
        return shape.sub(stand_in, node)
    return node


def send(request: Message, credentials: Credentials, token: str) -> Any:
    """Send a request of a page, with the token unless it has its own credentials, and return the response."""
    method, address = request.start.split(" ")
    basic = b64encode(f"{credentials.client_id}:{credentials.client_secret}".encode()).decode()
    body = request.body.replace("CLIENT_ID", credentials.client_id).replace("CLIENT_SECRET", credentials.client_secret)
    shows_token = {} if address == "/oauth/token" else {"Authorization": f"Bearer {token}"}
    headers = {
        name: value.replace("BASE64(CLIENT_ID:CLIENT_SECRET)", basic)
        for name, value in {"Host": HOST, **shows_token, **request.headers}.items()
    }
    content_type = headers.pop("Content-Type", "")
    return Client().generic(method, address, body, content_type, headers=headers)


def answer_of(response: Any, shown: Message) -> tuple[str, dict[str, str], Any]:
    """Return the status, the documented headers, and the body of a response."""
    content = response.getvalue()
    body = json.loads(content) if content else None
    headers = {name: response.headers.get(name, "") for name in shown.headers}
    return f"HTTP/1.1 {response.status_code} {response.reason_phrase}", headers, without_volatile_values(body)


def shown_answer(shown: Message) -> tuple[str, dict[str, str], Any]:
    return shown.start, shown.headers, without_volatile_values(json.loads(shown.body)) if shown.body else None


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation of the OpenAPI document."""
    for name, operation in contract.operations():
        method, path = name.split()
        yield path, method.upper(), operation


@time_machine.travel("2026-11-28T12:00Z")  # within the term of the examples
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_every_example_of_the_api_pages_gets_the_answer_that_the_page_shows():
    credentials = create_api_client("portal", " ".join(settings.SCOPES))
    token = ""

    pages = [API / "reference.md", *api_pages()]
    for request, shown in [exchange for page in pages for exchange in exchanges(page)]:
        response = send(request, credentials, token)
        if request.start == "POST /oauth/token":
            token = token or response.json()["access_token"]
        if request.start.startswith("POST /api/v1/imports"):
            run_worker(keep_running=lambda: True, once=True)  # `make run` always runs one

        assert answer_of(response, shown) == shown_answer(shown), request.start


@time_machine.travel("2026-11-28T12:00Z")
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_every_example_of_the_quickstart_gets_the_answer_that_the_page_shows():
    term = make_term(code="2026F", name="Fall 2026", starts_on=date(2026, 9, 1), ends_on=date(2027, 1, 31))
    make_course(code="MATH-101", name="Calculus I", term=term, capacity=1)
    make_student(student_number="S-1042", given_name="Ada", family_name="Byron")
    make_student(student_number="S-1043", given_name="Charles", family_name="Babbage", is_active=False)
    credentials = create_api_client("portal", "courses:read enrollments:write changes:read")
    token = ""

    for request, shown in exchanges(API / "quickstart.md"):
        response = send(request, credentials, token)
        if request.start == "POST /oauth/token":
            token = response.json()["access_token"]

        assert answer_of(response, shown) == shown_answer(shown), request.start


def test_the_index_of_the_reference_has_every_page_of_the_api():
    assert sorted([*api_pages(), API / "quickstart.md", API / "reference.md"]) == sorted(API.glob("*.md"))


def test_no_page_of_the_api_is_long():
    assert {page.name: lines for page in API.glob("*.md") if (lines := page.read_text().count("\n")) > 350} == {}


def test_the_reference_lists_every_path_with_its_methods_and_scopes():
    [table] = tables(API / "reference.md", "Path", "Methods", "Scopes")
    expected: dict[str, set[str]] = {}
    scopes: dict[str, set[str]] = {}
    for path, method, operation in operations():
        expected.setdefault(path, set()).add(method)
        scopes.setdefault(path, set()).update(s for each in operation["security"] for s in each.get("oauth2", ()))

    paths = quoted(table.column("Path"))

    assert dict(zip(paths, [set(cell.split(", ")) for cell in table.column("Methods")], strict=True)) == expected
    assert dict(zip(paths, [set(quoted([cell])) for cell in table.column("Scopes")], strict=True)) == scopes


def test_the_page_of_lists_has_every_filter_and_order_of_every_list():
    [table] = tables(API / "lists-and-filters.md", "List", "Filters", "Ordering")
    filters, orders = {}, {}
    for path, method, operation in operations():
        parameters = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        if method == "GET" and "ordering" in parameters:
            filters[path] = parameters.keys() - PAGING
            orders[path] = {name for name in parameters["ordering"]["enum"] if not name.startswith("-")}

    paths = quoted(table.column("List"))

    assert dict(zip(paths, [set(quoted([cell])) for cell in table.column("Filters")], strict=True)) == filters
    assert dict(zip(paths, [set(quoted([cell])) for cell in table.column("Ordering")], strict=True)) == orders


def test_the_page_of_errors_lists_every_code():
    [table] = tables(API / "errors.md", "Code", "Status", "Means")

    assert code_descriptions().keys() - set(quoted(table.column("Code"))) == set()


def test_the_page_of_rules_has_the_actions_the_meaning_and_the_waivers_of_every_rule():
    [table] = tables(DOCS / "enrollment-rules.md", "Code", "Checked for", "Means", "Can be waived by")
    expected: dict[str, tuple[set[str], list[str], bool]] = {}
    for action, rules in RULES.items():
        for rule in rules:
            asked, meanings_, _waivable = expected.setdefault(rule.code, (set(), [], rule.waivable))
            asked.add("promotion" if action == Action.PROMOTE else str(action))
            if rule.explanation not in meanings_:
                meanings_.append(rule.explanation)

    listed = {
        quoted([row[0]])[0]: (set(row[1].split(", ")), row[2], not row[3].startswith("nobody")) for row in table.rows
    }

    assert listed == {code: (asked, " ".join(means), waivable) for code, (asked, means, waivable) in expected.items()}


def test_the_page_of_rules_draws_every_transition():
    drawn = re.findall(r"^    (\S+) --> (\S+): ", (DOCS / "enrollment-rules.md").read_text(), re.MULTILINE)
    steps = {(start, end) for starts, end in ((ALLOWED_FROM[Action.DROP], "dropped"),) for start in starts}
    steps |= {("enrolled", "withdrawn"), *((start, "completed") for start in ALLOWED_FROM[Action.COMPLETE])}
    steps |= {("[*]", "enrolled"), ("[*]", "waitlisted"), ("waitlisted", "enrolled")}
    undone = {(end, "dropped" if start == "[*]" else start) for start, end in steps}

    assert set(drawn) == steps | undone


def test_the_page_of_tokens_lists_every_scope():
    [table] = tables(API / "authentication.md", "Scope", "Allows")

    assert quoted(table.column("Scope")) == list(settings.SCOPES)


def test_the_page_of_commands_lists_every_option_of_an_import():
    [table] = tables(DOCS / "import-commands.md", "Option", "Does")
    common = {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color"}
    command = load_command_class("students", "import_enrollments")
    assert isinstance(command, ImportCommand)
    parser = command.create_parser("manage.py", "import_enrollments")
    options = [each.option_strings[-1] for each in parser._actions if each.option_strings and each.dest not in common]

    listed = [option.split(" ")[0] for option in quoted(table.column("Option"))]

    assert listed == [option for option in options if option != "--skip-checks"]


def test_the_page_of_import_files_lists_every_column_of_every_kind_of_file():
    commands = {
        "import_terms": load_command_class("courses", "import_terms"),
        "import_grades": load_command_class("courses", "import_grades"),
        "import_students": load_command_class("students", "import_students"),
        "import_courses": load_command_class("students", "import_courses"),
        "import_holds": load_command_class("students", "import_holds"),
        "import_enrollments": load_command_class("students", "import_enrollments"),
    }
    expected = []
    for command in commands.values():
        assert isinstance(command, ImportCommand)
        expected.append([column.name for column in importer_classes()[command.kind].columns])

    assert [
        quoted(table.column("Column")) for table in tables(DOCS / "import-files.md", "Column", "Required")
    ] == expected


def test_the_page_of_import_files_lists_every_status_that_a_row_may_have():
    [table] = tables(DOCS / "import-files.md", "Status", "Means")

    assert set(quoted(table.column("Status"))) == {status for status in STATUS_TO_ACTION if status}


def test_the_page_of_settings_lists_every_variable_of_the_environment():
    listed = [
        name
        for table in tables(DOCS / "settings.md", "Variable", "Default")
        for name in quoted(table.column("Variable"))
    ]
    read = re.findall(r"(?:env\.\w+|flag)\(\s*\"([A-Z_]+)\"", (ROOT / "school/settings.py").read_text())

    assert sorted(listed) == sorted(set(read))


def test_the_example_of_settings_has_every_variable_with_a_reason():
    lines = (ROOT / ".env.example").read_text().splitlines()
    listed = [
        name
        for table in tables(DOCS / "settings.md", "Variable", "Default")
        for name in quoted(table.column("Variable"))
    ]
    variables = [number for number, line in enumerate(lines) if re.match(r"#[A-Z_]+=", line)]

    assert [lines[number].partition("=")[0].removeprefix("#") for number in variables] == listed
    assert [lines[number] for number in variables if not lines[number - 1].startswith("# ")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_an_existing_file_and_heading(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _hash, heading = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link and not (target.exists() and (not heading or heading in anchors(target))):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_documentation_exists(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:`|^ *|\$ )make ([a-z][a-z0-9-]*)", text, re.MULTILINE)) - targets == set()
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) - set(get_commands()) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_source_file_in_the_documentation_exists(page):
    named = re.findall(r"`((?:school|bulk|courses|students|tests|bench)/[\w/]+\.py)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_architecture_page_has_every_package_and_is_short():
    page = DOCS / "architecture.md"
    [table] = tables(page, "Package", "Contents")
    folders = {path.parent.relative_to(ROOT) for part in PARTS for path in (ROOT / part).glob("*/__init__.py")}
    packages = {str(folder) for folder in folders if folder.name not in ("migrations", "management", "templatetags")}

    assert set(quoted(table.column("Package"))) == {*PARTS, *packages}
    assert page.read_text().count("\n") <= 150


def test_every_decision_is_in_the_index():
    index = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (DOCS / "decisions/README.md").read_text())

    assert index == sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
