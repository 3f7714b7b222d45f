"""
Send list requests with random filters, orders, fields and page sizes.

The memory of no process may grow.

Each combination is a separate compiled statement, and there are many more combinations than the cache can hold.
"""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.processes import manage, tree
from courses.api.views import TermViewSet
from school.api.query_parameters import filters_of
from stress.clients import Client, run_all
from stress.server import running_server
from students.api import EnrollmentViewSet, RosterViewSet, StudentCoursesViewSet
from students.api.courses_with_seats import CourseWithSeatsViewSet
from students.api.students import StudentViewSet
from students.models import StudentCourse

REQUESTS, SHORT = 100_000, 10_000
STEPS = 10
MAX_MEGABYTES = 200  # the maximum memory of a process, in MB
SCOPES = "students:read courses:read enrollments:read"
SIZES = (1, 20, 40, 80, 160)
SHARE = 0.3  # the share of the requests that have a filter
VALUES = {
    "capacity": "30",
    "code": "MATH-101",
    "course": "1",
    "course_code": "MATH-101",
    "has_seats": "true",
    "is_active": "true",
    "level": "introductory",
    "running_on": "2026-10-01",
    "search": "a",
    "student": "1",
    "student_number": "S-1",
    "term": "2026F",
    "updated_since": "2020-01-01T00:00:00Z",
}
STATUSES = ("enrolled", "waitlisted", "completed", "dropped", "withdrawn")


def run(*, short: bool, requests: int = 0) -> list[str]:
    """Send the requests, print the memory after each step, and return a sentence for each problem."""
    manage("seed_demo", "--students", "1000", "--courses", "100", "--enrollments", "5000")
    each = (requests or (SHORT if short else REQUESTS)) // STEPS
    problems = []
    with running_server() as server:
        client = partial(Client, server.port, server.token(SCOPES))
        for step in range(STEPS + 1):
            if step:
                responses, _seconds = run_all(
                    _addresses(each, step),
                    lambda client, path: client.call("GET", path),
                    lambda number: client(seed=number),
                )
                wrong = {status: count for status, count in responses.by_status.items() if status != 200}
                problems += [f"{count} requests were answered {status}." for status, count in wrong.items()]
            sizes = [_megabytes(pid) for pid in tree(server.process.pid)]
            print(f"{step * each:>9,} requests: {max(sizes):.0f} MB of RSS in the largest process", flush=True)
            if max(sizes) > MAX_MEGABYTES:
                problems.append(f"After {step * each:,} requests a process has {max(sizes):.0f} MB.")
    return problems


def _addresses(count: int, step: int) -> Iterator[str]:
    rng = random.Random(step)
    row = StudentCourse.objects.select_related("course").latest("pk")
    lists: dict[str, Any] = {
        f"students/{row.student_id}/courses": StudentCoursesViewSet,
        f"courses/{row.course_id}/students": RosterViewSet,
        "enrollments": EnrollmentViewSet,
        "students": StudentViewSet,
        "courses": CourseWithSeatsViewSet,
        "terms": TermViewSet,
    }
    fields = {view: list(view.serializer_class().fields) for view in lists.values()}
    for _number in range(count):
        path, view = rng.choice(list(lists.items()))
        known = {*filters_of(view), *(["search"] if hasattr(view, "search_fields") else [])} & VALUES.keys()
        query = {name: VALUES[name] for name in sorted(known) if rng.random() < SHARE}
        if "status" in filters_of(view):
            query["status"] = ",".join(rng.sample(STATUSES, rng.randint(1, len(STATUSES))))
        query["ordering"] = rng.choice(("", "-")) + rng.choice(list(view.ordering_fields))
        query["fields"] = ",".join(rng.sample(fields[view], rng.randint(1, len(fields[view]))))
        query["page_size"] = str(rng.choice(SIZES))
        yield f"{path}?{urlencode(query)}"


def _megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
