"""
Every entry point that changes enrollments.

Each sends a requested action and returns the response as text.
"""

import csv
import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils.html import strip_tags
from rest_framework.test import APIClient

from courses.api_client_creation import create_api_client
from courses.models import Course
from students.models import Action, Student, StudentCourse
from tests.support.clients import api_client, browser_client


@dataclass(frozen=True)
class RequestedAction:
    """An action to send to an entry point."""

    action: Action
    student: Student
    course: Course
    on_full: str = "reject"
    waive: tuple[str, ...] = ()
    reason: str = ""
    grade: str = ""
    instead_of: Course | None = None


EntryPoint = Callable[[RequestedAction], str]


class NotOffered(Exception):
    """The entry point does not support the action."""


def _api_client() -> APIClient:
    return api_client(create_api_client("entry point", "enrollments:write enrollments:waive"))


def api(request: RequestedAction) -> str:
    courses = f"/api/v1/students/{request.student.pk}/courses"
    grade = {"grade": request.grade} if request.grade else {}
    waiver = {"waive": list(request.waive), "reason": request.reason}
    requests: dict[Action, tuple[str, str, Any]] = {
        Action.ENROLL: (
            "post",
            courses,
            {"course_id": request.course.pk, "on_full": request.on_full, **waiver, **_swap(request)},
        ),
        Action.DROP: ("delete", f"{courses}/{request.course.pk}", None),
        Action.COMPLETE: ("patch", f"{courses}/{request.course.pk}", {"status": "completed", **grade}),
    }
    if request.action not in requests:
        raise NotOffered
    method, path, body = requests[request.action]
    return getattr(_api_client(), method)(path, body).content.decode()


def _swap(request: RequestedAction) -> dict[str, Any]:
    """Return the fields of a swap: the course to leave, by its key in the API, which accepts its id, too."""
    return {"instead_of": f"code:{request.instead_of.full_code}"} if request.instead_of else {}


def batch(request: RequestedAction) -> str:
    if request.action not in (Action.ENROLL, Action.DROP, Action.COMPLETE):
        raise NotOffered
    item: dict[str, Any] = {
        "action": request.action,
        "student_id": request.student.pk,
        "course_id": request.course.pk,
    }
    item["reason"] = request.reason
    if request.action == Action.ENROLL:
        item |= {"on_full": request.on_full, "waive": list(request.waive), **_swap(request)}
    if request.grade:
        item["grade"] = request.grade
    return _api_client().post("/api/v1/enrollments/batch", {"items": [item]}).content.decode()


def admin(request: RequestedAction) -> str:
    """Submit the enroll form, or select the latest enrollment in the list, choose an action and confirm it."""
    browser = browser_client()
    browser.force_login(User.objects.create_superuser("entry-point"))
    enrollments = "/admin/students/studentcourse/"
    newest = StudentCourse.objects.latest_per_student_and_course().filter(
        student=request.student, course=request.course
    )
    ticked = list(newest.values_list("pk", flat=True))
    form: dict[str, Any]
    if request.action == Action.ENROLL:
        path = f"{enrollments}add/"
        form = {
            "student": request.student.pk,
            "course": request.course.pk,
            "on_full": request.on_full,
            "waive": request.waive,
            "instead_of": request.instead_of.pk if request.instead_of else "",
        }
    else:
        path = enrollments
        form = {"action": request.action.value, "index": 0, "_selected_action": ticked, "grade": request.grade}
    answer = browser.post(path, {**form, "reason": request.reason}, follow=True)
    if "preview" in answer.context and answer.context["preview"].changed:
        form = {
            "action": request.action.value,
            "chosen": ticked,
            "step": "confirm",
            "shown": answer.context["fingerprint"],
            "grade": request.grade,
        }
        answer = browser.post(f"{enrollments}act/", {**form, "reason": request.reason}, follow=True)
    return strip_tags(answer.content.decode())


def command(request: RequestedAction) -> str:
    statuses = {Action.ENROLL: "enrolled", Action.DROP: "dropped", Action.COMPLETE: "completed"}
    if request.action not in statuses:
        raise NotOffered
    cells = [
        request.student.student_number,
        request.course.code,
        statuses[request.action],
        " ".join(request.waive),
        request.reason,
        request.grade,
        request.instead_of.full_code if request.instead_of else "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / "file.csv", Path(folder) / "report.csv"
        file.write_text(f"student_number,course_code,status,waive,reason,grade,instead_of\n{','.join(cells)}\n")
        quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
        with suppress(CommandError):
            call_command("import_enrollments", file, report=str(report), on_full=request.on_full, **quiet)
        [row] = csv.DictReader(report.read_text().splitlines())
        return f"{row['outcome']} {row['message']}"


ENTRY_POINTS: tuple[EntryPoint, ...] = (api, batch, admin, command)
