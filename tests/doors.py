"""Every door through which a student can get into a course. Each tells what it was answered, as text."""

import csv
import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils.html import strip_tags
from rest_framework.test import APIClient

from courses.models import Course
from school.clients import create_api_client
from students.models import Student

Door = Callable[[Student, Course], str]


def api(student: Student, course: Course) -> str:
    keys = create_api_client("door", "enrollments:write")
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    token = Client().post("/oauth/token", form).json()["access_token"]
    program = APIClient()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    answer = program.post(f"/api/v1/students/{student.pk}/courses", {"course_id": course.pk})
    return json.dumps(answer.json())


def admin(student: Student, course: Course) -> str:
    browser = Client()
    browser.force_login(User.objects.create_superuser("door"))
    form = {"student": student.pk, "course": course.pk, "reason": ""}
    return strip_tags(browser.post("/admin/students/studentcourse/add/", form, follow=True).content.decode())


def command(student: Student, course: Course) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / "file.csv", Path(folder) / "report.csv"
        file.write_text(f"student_number,course_code\n{student.student_number},{course.code}\n")
        with suppress(CommandError):
            call_command("import_enrollments", file, report=str(report), stdout=io.StringIO(), stderr=io.StringIO())
        [row] = csv.DictReader(report.read_text().splitlines())
        return f"{row['outcome']} {row['message']}"


DOORS: tuple[Door, ...] = (api, admin, command)
