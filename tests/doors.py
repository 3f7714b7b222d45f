"""Every door through which an enrollment is made or ended. Each tells what it was answered, as text."""

import csv
import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils.html import strip_tags
from rest_framework.test import APIClient

from courses.models import Course
from school.clients import create_api_client
from students.models import Action, Student, StudentCourse

Door = Callable[[Action, Student, Course], str]


def api(action: Action, student: Student, course: Course) -> str:
    keys = create_api_client("door", "enrollments:write")
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    token = Client().post("/oauth/token", form).json()["access_token"]
    program = APIClient()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    courses = f"/api/v1/students/{student.pk}/courses"
    requests: dict[Action, tuple[str, str, Any]] = {
        Action.ENROLL: ("post", courses, {"course_id": course.pk}),
        Action.DROP: ("delete", f"{courses}/{course.pk}", None),
        Action.COMPLETE: ("patch", f"{courses}/{course.pk}", {"status": "completed"}),
    }
    method, path, body = requests[action]
    return getattr(program, method)(path, body).content.decode()


def admin(action: Action, student: Student, course: Course) -> str:
    """Fill in the form that enrolls, or tick the newest enrollment in the list and choose what ends it."""
    browser = Client()
    browser.force_login(User.objects.create_superuser("door"))
    enrollments = "/admin/students/studentcourse/"
    ticked = list(StudentCourse.objects.newest().filter(student=student, course=course).values_list("pk", flat=True))
    ending = {"index": 0, "_selected_action": ticked, "grade": "", "reason": ""}
    forms: dict[Action, tuple[str, dict[str, Any]]] = {
        Action.ENROLL: (f"{enrollments}add/", {"student": student.pk, "course": course.pk, "reason": ""}),
        Action.DROP: (enrollments, {"action": "drop", **ending}),
        Action.COMPLETE: (enrollments, {"action": "complete", **ending}),
    }
    path, form = forms[action]
    return strip_tags(browser.post(path, form, follow=True).content.decode())


def command(action: Action, student: Student, course: Course) -> str:
    status = {Action.ENROLL: "enrolled", Action.DROP: "dropped", Action.COMPLETE: "completed"}[action]
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / "file.csv", Path(folder) / "report.csv"
        file.write_text(f"student_number,course_code,status\n{student.student_number},{course.code},{status}\n")
        with suppress(CommandError):
            call_command("import_enrollments", file, report=str(report), stdout=io.StringIO(), stderr=io.StringIO())
        [row] = csv.DictReader(report.read_text().splitlines())
        return f"{row['outcome']} {row['message']}"


DOORS: tuple[Door, ...] = (api, admin, command)
