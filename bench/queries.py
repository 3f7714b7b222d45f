"""Measure the number of queries of each list and each action."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from bench.processes import Failed
from bench.table import print_table
from courses.api_client_creation import create_api_client
from courses.models import Course, Level
from students.enrollment import complete_many, drop_many, enroll_many
from students.enrollment.actor_context import ActorContext
from students.enrollment.outcomes import Outcome
from students.models import Channel, Student, StudentCourse

PAGES = (1, 500)
BATCHES = (1, 1_000)
COURSES = 10
GRADE = {"status": "completed", "grade": "A"}
API = "/api/v1"
HOST = "localhost"  # a host that Django accepts

# Statements of transaction control. An action is a transaction; here it is a savepoint.
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


def measure() -> None:
    """Print the tables, and roll back all changes; raise ``Failed`` for a wrong response."""
    with transaction.atomic():
        client = APIClient(SERVER_NAME=HOST)
        client.force_authenticate(get_user_model().objects.create(username="bench", is_superuser=True))
        _measure_lists(client)
        _measure_actions()
        _measure_requests(client)
        transaction.set_rollback(True)


def _count(action: Callable[[], Any]) -> tuple[int, Any]:
    """Run the action, and return the number of its queries and its result."""
    with CaptureQueriesContext(connection) as queries:
        answer = action()
    return sum(not query["sql"].startswith(CONTROL) for query in queries.captured_queries), answer


def _measure_lists(client: APIClient) -> None:
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
    lines = []
    for title, path in lists.items():
        line = [title]
        for size in PAGES:
            count, rows = _count(partial(_rows, client, f"{API}/{path}page_size={size}"))
            line += [str(count), str(rows)]
        lines.append(line)
    head = [part for size in PAGES for part in (f"page_size={size}", "rows")]
    print_table("Queries of each list", ["list", *head], lines)
    print(f"A bearer token takes {_token_queries(f'{API}/students/{student}')} more.")


def _rows(client: APIClient, address: str) -> int:
    answer = client.get(address)
    if answer.status_code != 200:
        raise Failed(f"{address} answers {answer.status_code}.")
    return len(answer.json()["results"])


def _token_queries(address: str) -> int:
    """Return the number of queries that a request with a token takes more than one of an authenticated user."""
    keys = create_api_client("queries", "students:read")
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    anyone, known = APIClient(SERVER_NAME=HOST), APIClient(SERVER_NAME=HOST)
    token = anyone.post("/oauth/token", form, format="multipart").json()["access_token"]
    anyone.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    known.force_authenticate(get_user_model()(is_superuser=True))
    (with_token, first), (without, second) = (_count(partial(client.get, address)) for client in (anyone, known))
    if not first.status_code == second.status_code == 200:
        raise Failed(f"{address} answers {first.status_code} and {second.status_code}.")
    return with_token - without


def _make_courses() -> list[Course]:
    """Create courses without enrollments, half of them without a capacity."""
    return [
        Course.objects.create(
            code=f"QUERIES-{number}", name="Queries", level=Level.GRADUATE, capacity=None if number % 2 else 100_000
        )
        for number in range(COURSES)
    ]


def _measure_actions() -> None:
    """Count the queries of the actions themselves, each in a transaction that is rolled back."""
    courses = _make_courses()
    students = Student.objects.filter(is_active=True).order_by("pk")[: max(BATCHES) // COURSES]
    pairs = [(student.pk, course.pk) for student in students for course in courses]
    origin = ActorContext(Channel.SYSTEM)
    actions: dict[str, Callable[[list[tuple[int, int]]], list[Outcome]]] = {
        "enroll": partial(enroll_many, actor=origin),
        "drop": partial(drop_many, actor=origin),
        "complete": partial(complete_many, actor=origin, grade="A"),
    }
    lines = []
    for title, action in actions.items():
        line = [title]
        for size in BATCHES:
            batch = pairs[:size]
            if len(batch) < size:
                raise Failed(f"There are too few students for a batch of {size}.")
            with transaction.atomic():
                if title != "enroll":
                    enroll_many(batch, actor=origin)
                count, outcomes = _count(partial(action, batch))
                transaction.set_rollback(True)
            if not all(outcome.changed for outcome in outcomes):
                raise Failed(f"Not every {title} was done.")
            line.append(str(count))
        lines.append(line)
    print_table("Queries of each action", ["action", *(f"batch of {size:,}" for size in BATCHES)], lines)


def _measure_requests(client: APIClient) -> None:
    """Count the queries of the writing requests, one after the other."""
    student = Student.objects.filter(is_active=True).order_by("pk")[0].pk
    first, second = (course.pk for course in Course.objects.filter(code__in=["QUERIES-0", "QUERIES-1"]))
    collection = f"{API}/students/{student}/courses"
    post = partial(client.post, collection)
    steps = [
        ("POST students/{id}/courses", 201, partial(post, {"course_id": first})),
        ("the same again", 200, partial(post, {"course_id": first})),
        ("PATCH students/{id}/courses/{course_id}", 200, partial(client.patch, f"{collection}/{first}", GRADE)),
        ("DELETE students/{id}/courses/{course_id}", 204, partial(client.delete, f"{collection}/{second}")),
    ]
    post({"course_id": second})
    lines = []
    for title, status, step in steps:
        count, answer = _count(step)
        if answer.status_code != status:
            raise Failed(f"{title} answers {answer.status_code}.")
        lines.append([title, str(status), str(count)])
    print_table("Queries of each write", ["request", "status", "queries"], lines)
