"""The number of queries of each list and of each act."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from bench.processes import Failed
from bench.table import print_table
from courses.models import Course, Level
from school.clients import create_api_client
from students.enrollment import Origin, Outcome, complete_many, drop_many, enroll_many
from students.models import Channel, Student, StudentCourse

PAGES = (1, 500)
BATCHES = (1, 1_000)
COURSES = 10
API = "/api/v1"

# What begins, ends or undoes a transaction. An act is one transaction by itself, here it is a savepoint.
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")

Answer = Callable[[], Any]


def measure() -> None:
    """Print the tables, and leave the database as it was; raise ``Failed`` for an answer that is not right."""
    with transaction.atomic():
        _measure_lists()
        _measure_acts()
        _measure_requests()
        transaction.set_rollback(True)


def _count(act: Callable[[], Any]) -> tuple[int, Any]:
    """Do it, and return the number of its queries and its answer."""
    with CaptureQueriesContext(connection) as queries:
        answer = act()
    return sum(not query["sql"].startswith(CONTROL) for query in queries.captured_queries), answer


def _client() -> APIClient:
    client = APIClient()
    client.force_authenticate(get_user_model()(username="bench", is_superuser=True))
    return client


def _measure_lists() -> None:
    biggest = StudentCourse.objects.values("course").annotate(count=Count("pk")).latest("count")["course"]
    student = Student.objects.order_by("pk")[0].pk
    lists = {
        "GET students": "students?",
        "GET courses": "courses?",
        "GET terms": "terms?",
        "GET students/{id}/courses": f"students/{student}/courses?status=all&",
        "GET courses/{id}/students": f"courses/{biggest}/students?status=all&",
        "GET enrollments": "enrollments?status=all&",
    }
    client = _client()
    lines = []
    for title, path in lists.items():
        line = [title]
        for size in PAGES:
            count, rows = _count(lambda path=path, size=size: _rows(client, f"{API}/{path}page_size={size}"))
            line += [str(count), str(rows)]
        lines.append(line)
    lines.append(["with a token instead of a known user", *_token_queries(), ""])
    head = [part for size in PAGES for part in (f"page_size={size}", "rows")]
    print_table("Queries of each list", ["list", *head], lines)


def _rows(client: APIClient, address: str) -> int:
    answer = client.get(address)
    if answer.status_code != 200:
        raise Failed(f"{address} answers {answer.status_code}.")
    return len(answer.json()["results"])
