"""Measure the time and the number of queries of each page of the admin, with all rows."""

import io
import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bench.processes import Failed
from bench.table import print_table
from bulk.jobs.processing import process_import
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import ImportChannel
from courses.models import Course
from students.models import Status, Student, StudentCourse

HOST = "localhost"  # a host that Django accepts
TIMES = 5
QUERIES, SECONDS = 25, 1.0  # the limits of a page, which CONTRIBUTING.md describes
MANY = 1_000  # the number of enrollments that an action changes at a time

# A page: its title, its URL, and the form to post; None for a GET request.
Page = tuple[str, str, dict[str, Any] | None]


def measure() -> None:
    """Print the table, and roll back all changes; raise ``Failed`` if a page is wrong or exceeds the limits."""
    with transaction.atomic():
        user = get_user_model().objects.create(username="bench", is_superuser=True, is_staff=True)
        client = Client(SERVER_NAME=HOST)
        client.force_login(user, "school.accounts.backends.StaffBackend")
        lines, slow = [], []
        for title, address, form in [*_model_pages(user), *_own_pages()]:
            ask = partial(client.get, address) if form is None else partial(client.post, address, form)
            times, queries, size = _measure_one(address, ask)
            lines.append([title, f"{statistics.median(times):.0f}", str(queries), f"{size / 1024:.0f}"])
            # The fastest time, as other programs may slow down the machine.
            if min(times) >= SECONDS * 1000 or queries >= QUERIES:
                slow.append(title)
        transaction.set_rollback(True)
    print_table(
        "Each page of the admin, as a superuser sees it", ["page", f"median ms of {TIMES}", "queries", "kB"], lines
    )
    print("In this process, through all middleware, after a first request that is not counted.")
    if slow:
        raise Failed(f"These pages take {QUERIES} queries or more, or {SECONDS:.0f} s or more: {', '.join(slow)}.")


def _measure_one(address: str, ask: Any) -> tuple[list[float], int, int]:
    """Return the milliseconds of each request, the number of queries and the size in bytes."""
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        answer = ask()
        content = b"".join(answer) if answer.streaming else answer.content
        count = len(queries)
    if answer.status_code != 200:
        raise Failed(f"{address} answers {answer.status_code}.")
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        answer = ask()
        _ = b"".join(answer) if answer.streaming else answer.content
        times.append((time.perf_counter() - started) * 1000)
    return times, count, len(content)


def _model_pages(user: Any) -> Iterator[Page]:
    """Yield the list, the form, the history and the add form of each model in the admin."""
    request = RequestFactory().get("/", SERVER_NAME=HOST)
    request.user = user
    for model, model_admin in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label_lower):
        label = model._meta.label
        name = f"admin:{model._meta.label_lower.replace('.', '_')}"
        yield f"{label}: list", reverse(f"{name}_changelist"), None
        newest = model._default_manager.order_by("pk").last()
        if newest is not None:
            yield f"{label}: newest", reverse(f"{name}_change", args=[newest.pk]), None
            yield f"{label}: history", reverse(f"{name}_history", args=[newest.pk]), None
        if model_admin.has_add_permission(request):
            yield f"{label}: add", reverse(f"{name}_add"), None


def _id_with_most(status: str, of: str) -> int:
    """Return the id of the course or student with the most enrollments of a status; raise ``Failed`` without any."""
    counted = StudentCourse.objects.filter(status=status).order_by().values(of).annotate(count=Count("pk"))
    most = counted.order_by("-count").first()
    if most is None:
        raise Failed(f"There is no enrollment that is {status}.")
    return int(most[of])


def _enrolled() -> list[StudentCourse]:
    rows = StudentCourse.objects.filter(status=Status.ENROLLED).order_by("-pk")
    return list(rows.select_related("student", "course__term")[:MANY])


def _own_pages() -> Iterator[Page]:
    """Yield School's own pages, each for the object with the most rows."""
    biggest, busiest = _id_with_most(Status.ENROLLED, "course"), _id_with_most(Status.COMPLETED, "student")
    waited = _id_with_most(Status.WAITLISTED, "course")
    student, course = Student.objects.get(pk=busiest), Course.objects.get(pk=waited)
    page_of_course, page_of_student = f"/admin/courses/course/{waited}", f"/admin/students/student/{busiest}"
    rows, people = "/admin/students/studentcourse/", "/admin/students/student/"
    yield "home", "/admin/", None
    yield "access", "/admin/access/", None
    for title, words in {
        "a number": student.student_number,
        "a family name": student.family_name,
        "a name and a course": f"{student.family_name} {course.code}",
        "nothing": "qqqq",
    }.items():
        yield f"palette: {title}", f"/admin/search/?s={words}", None
    yield "students: search for a name", f"{people}?q={student.family_name}", None
    yield "students: search for nothing", f"{people}?q=qqqq", None
    yield "students: the last page", f"{people}?p={Student.objects.count() // 100}", None
    yield "enrollments: of a course", f"{rows}?course__id__exact={biggest}", None
    yield "enrollments: waitlisted", f"{rows}?status__exact=waitlisted", None
    yield "enrollments: search for a name", f"{rows}?q={student.family_name}", None
    for tab in ("roster", "waitlist", "timeline", "form"):
        yield f"course: {tab}", f"/admin/courses/course/{biggest}/change/?tab={tab}", None
    yield "course: the longest waitlist", f"{page_of_course}/change/?tab=waitlist", None
    yield "course: roster to print", f"/admin/courses/course/{biggest}/roster/", None
    yield "course: roster as CSV", f"/admin/courses/course/{biggest}/roster.csv", None
    for tab in ("courses", "timeline", "form"):
        yield f"student: {tab}", f"{page_of_student}/change/?tab={tab}", None
    yield "student: personal data", f"{page_of_student}/personal-data/", None
    box = {"course": waited, "ask": "1", "fragment": "1", "on_full": "reject"}
    yield "student: preview of the enroll panel", f"{page_of_student}/enroll/", box
    chosen = [row.pk for row in _enrolled()]
    act = {"action": "drop", "chosen": chosen, "reason": "Left"}
    yield f"preview of {len(chosen):,} drops", f"{rows}act/", act
    numbers = Student.objects.filter(is_active=True).order_by("pk").values_list("student_number", flat=True)[:MANY]
    many = {"side": "course", "one": waited, "text": "\n".join(numbers), "on_full": "waitlist", "step": "look"}
    yield f"enroll many: lines of {len(numbers):,}", f"{rows}enroll-many/", many
    yield "import: preview of 1,000 rows", f"/admin/bulk/import/{_import()}/change/", None


def _import() -> int:
    """Receive a file of drops that needs approval; return its id."""
    lines = [f"{row.student.student_number},{row.course.code},{row.course.term or ''},dropped" for row in _enrolled()]
    text = "\n".join(["student_number,course_code,term,status", *lines])
    job = submit(
        io.BytesIO(text.encode()),
        ImportRequest(kind="enrollments", channel=ImportChannel.API, request_id="", review="needed"),
    )
    process_import(job.pk)
    return job.pk
