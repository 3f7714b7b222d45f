"""A school with some of everything that OneRoster shows, and the answers of its operations."""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema
from django.contrib.auth.models import User

from courses.models import Course, CourseStaff, Term
from oneroster import sourced_ids
from oneroster.api import discovery
from students.enrollment import complete, drop, enroll
from students.models import Student
from tests.support.factories import CANARY, make_course, make_student, make_term

ROOTS = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}
V1P1, V1P2 = ROOTS.values()
# The lists of all objects of a kind.
LISTS = (
    "academicSessions",
    "classes",
    "courses",
    "demographics",
    "enrollments",
    "gradingPeriods",
    "orgs",
    "schools",
    "students",
    "teachers",
    "terms",
    "users",
)


@cache
def document() -> dict[str, Any]:
    """Return the document of the standard."""
    loaded: dict[str, Any] = json.loads(discovery.document())
    return loaded


@dataclass
class Roster:
    """A term with a class, its teacher, and three students: one takes the class, one has left it, one completed it."""

    term: Term
    course: Course
    teacher: User
    student: Student
    left: Student
    completed: Student

    def parameters(self) -> dict[str, str]:
        """Return an id for each parameter in the paths of the document."""
        ids = {
            "schoolSourcedId": sourced_ids.org_id(),
            "classSourcedId": sourced_ids.class_id(self.course.pk),
            "courseSourcedId": sourced_ids.course_code_id(self.course.code),
            "termSourcedId": sourced_ids.term_id(self.term.pk),
            "studentSourcedId": sourced_ids.student_id(self.student.pk),
            "teacherSourcedId": sourced_ids.account_id(self.teacher.pk),
            "userSourcedId": sourced_ids.student_id(self.student.pk),
        }
        return {name: str(value) for name, value in ids.items()}

    def single(self, collection: str) -> str:
        """Return the id of an object of a collection."""
        parameters = self.parameters()
        names = {
            "orgs": "school",
            "schools": "school",
            "classes": "class",
            "courses": "course",
            "terms": "term",
            "academicSessions": "term",
            "students": "student",
            "users": "student",
            "teachers": "teacher",
        }
        if collection == "gradingPeriods":
            return str(sourced_ids.grading_period_id(self.term.pk))
        if collection == "enrollments":
            ids = sourced_ids.student_id(self.student.pk), sourced_ids.class_id(self.course.pk)
            return str(sourced_ids.enrollment_id(*ids))
        return parameters[f"{names[collection]}SourcedId"] if collection in names else parameters["userSourcedId"]

    def path(self, template: str) -> str:
        """Return a path of the document with ids."""
        path = template.replace("{sourcedId}", self.single(template.split("/")[1]))
        return re.sub(r"\{(\w+)\}", lambda match: self.parameters()[match[1]], path)


def make_roster(actor: Any, name: str = "own", **term: Any) -> Roster:
    made = make_term(code=f"{name}-T", **{"starts_on": "2026-01-01", "ends_on": "2099-06-30", **term})
    course = make_course(code=f"{name}-C", term=made)
    teacher = User.objects.create_user(f"{CANARY}-{name}", first_name="Tea", last_name=CANARY, email="")
    CourseStaff.objects.create(course=course, user=teacher)
    students = [make_student(student_number=f"{CANARY}-{name}-{number}") for number in range(3)]
    for student in students:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    drop(student_id=students[1].pk, course_id=course.pk, actor=actor)
    complete(student_id=students[2].pk, course_id=course.pk, actor=actor)
    return Roster(made, course, teacher, *students)


def operations() -> list[tuple[str, dict[str, Any]]]:
    """Return the path and the description of each operation of the document."""
    return [(path, item["get"]) for path, item in document()["paths"].items()]


def validate(operation: dict[str, Any], body: Any) -> None:
    """Raise ``ValidationError`` unless the body is one of the operation's 200 answers."""
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft4Validator({**schema, "components": document()["components"]}, format_checker=FORMATS)
    validator.validate(body)


def validate_error(body: Any) -> None:
    schema = {"$ref": "#/components/schemas/imsx_StatusInfoDType", "components": document()["components"]}
    jsonschema.Draft4Validator(schema).validate(body)


FORMATS = jsonschema.FormatChecker()


def get_list(client: Any, path: str, **query: Any) -> list[Any]:
    """Return the objects of a list."""
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    [objects] = answer.json().values()
    return objects


def codes(answer: Any) -> tuple[int, str]:
    """Return the status of an error, and its code in the form of the standard."""
    body = answer.json()
    validate_error(body)
    assert answer.headers["Content-Type"] == "application/json"
    [field] = body["imsx_CodeMinor"]["imsx_codeMinorField"]
    return answer.status_code, field["imsx_codeMinorFieldValue"]
