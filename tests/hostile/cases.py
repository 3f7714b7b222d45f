"""Hostile requests, and the check of their responses."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import connection
from django.test import Client

JSON = "application/json"
PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "code", "errors", "request_id"}

# Integers that are not valid as ids in a path, a query or a body.
HUGE = {"2^31": str(2**31), "2^63": str(2**63), "10^30": str(10**30), "5,000 digits": "9" * 5_000}


@dataclass(frozen=True)
class Case:
    """A request with its expected status and error code. ``{…}`` in the path is replaced by the key of a row."""

    name: str
    method: str
    path: str
    status: int
    code: str | None
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


def row_counts() -> dict[str, int]:
    """Return the number of rows of each table, without those of axes, which stores failed logins on purpose."""
    with connection.cursor() as cursor:
        counts = {}
        for model in (model for model in apps.get_models() if model._meta.app_label != "axes"):
            cursor.execute(f'SELECT count(*) FROM "{model._meta.db_table}"')  # noqa: S608  # table names of our models
            [counts[model._meta.db_table]] = cursor.fetchone()
    return counts


def unexpected_responses(client: Client, cases: Iterable[Case], **values: Any) -> list[str]:
    """Send each request; return a line for each unexpected response and each table whose row count changed."""
    before = row_counts()
    wrong = [line for case in cases for line in _wrong(client, case, values)]
    lines = [*wrong, *(f"{table} has other rows" for table, count in row_counts().items() if count != before[table])]
    print(*lines, sep="\n")  # pytest cuts lists short
    return lines


def _wrong(client: Client, case: Case, values: dict[str, Any]) -> list[str]:
    path = case.path.format(**values)
    answer: Any = client.generic(case.method, path, case.body, case.content_type, headers=case.headers)
    expected = (case.status, case.code)
    if case.method == "HEAD":
        found = (answer.status_code, case.code)
    elif case.status < 400 or case.code is None:
        found = (answer.status_code, None)
    elif answer["Content-Type"] != PROBLEM:
        found = (answer.status_code, f"no problem but {answer['Content-Type']}: {answer.content[:100]!r}")
    else:
        problem = answer.json()
        found = (answer.status_code, problem["code"])
        if not problem.keys() >= MEMBERS or problem["status"] != answer.status_code:
            found = (answer.status_code, f"no whole problem: {problem}")
    return [] if found == expected else [f"{case.name}: {case.method} {path[:120]}: {found}, and not {expected}"]
