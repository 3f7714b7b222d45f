"""The items of a batch as enrollment commands, or as errors of the invalid ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, ValidationError

from courses.lookup import CourseKey, course_not_found, courses_by_key, parse_course_key
from courses.models import Course
from school.api.batch_bodies import MAX_BATCH_ERRORS
from school.http.problems import MAX_ERRORS, flatten_errors
from school.identifiers import parse_id
from school.refusals import Refusal
from students.api.serializers.batch import ITEMS, ItemSerializer
from students.api.serializers.requests import (
    course_key_from,
)
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.lookup import student_ids_by_number, student_not_found, students_not_found
from students.models import Action, Student


@dataclass(frozen=True, slots=True)
class InvalidItem:
    """An item that has no command, because it is invalid or its student or course cannot be determined."""

    status: str
    reasons: tuple[Refusal, ...]


def parse_items(
    items: Iterable[Any],
    visible_courses: QuerySet[Course] | None = None,
    visible_students: QuerySet[Student] | None = None,
    enrollable_students: QuerySet[Student] | None = None,
) -> list[EnrollmentCommand | InvalidItem]:
    """
    Return a command for each item, or ``InvalidItem``. Students and courses are looked up for all items together.

    ``visible_courses`` has the courses that the caller may use. If it is None, the caller may use all courses, and a
    course id is not looked up. ``visible_students`` has the students whose numbers a refusal may suggest.
    ``enrollable_students`` has the students that an item may name. For both, None means all students. Only the first
    ``MAX_ERRORS`` unknown numbers and keys get a refusal with a suggestion. Raise ``ValidationError`` if the invalid
    items have more than ``MAX_BATCH_ERRORS`` errors.
    """
    bodies = _validate_items(items)
    valid = [body for body in bodies if not isinstance(body, InvalidItem)]
    students = student_ids_by_number(body["student_number"] for body in valid if "student_number" in body)
    courses = courses_by_key((key for body in valid for key in _keys(body)), visible_courses, MAX_ERRORS)
    hidden_courses = _hidden_courses((pk for body in valid for pk in _course_ids(body)), visible_courses)
    numbers = dict.fromkeys(body["student_number"] for body in valid if "student_number" in body)
    unknown: dict[str | int, Refusal] = {}
    if enrollable_students is not None:
        ids = {body["student_id"] for body in valid if "student_id" in body}
        enrollable_ids = set(
            enrollable_students.filter(pk__any_of=[*ids, *students.values()]).values_list("pk", flat=True)
        )
        students = {number: pk for number, pk in students.items() if pk in enrollable_ids}
        unknown |= {pk: student_not_found(pk) for pk in ids - enrollable_ids}
    visible_students = Student.objects.all() if visible_students is None else visible_students
    not_found = [number for number in numbers if number not in students]
    unknown.update(students_not_found(not_found, visible_students, "number:", MAX_ERRORS))
    return [
        body if isinstance(body, InvalidItem) else _to_command(body, students, unknown, courses, hidden_courses)
        for body in bodies
    ]


def _keys(body: dict[str, Any]) -> Iterator[CourseKey]:
    """Yield the keys of the courses that an item names by a key."""
    if key := course_key_from(body):
        yield key
    if "instead_of" in body and not parse_id(body["instead_of"]):
        yield parse_course_key(body["instead_of"])


def _course_ids(body: dict[str, Any]) -> Iterator[int]:
    """Yield the ids of the courses that an item names by an id."""
    if "course_id" in body:
        yield body["course_id"]
    if pk := parse_id(body.get("instead_of", "")):
        yield pk


def _hidden_courses(course_ids: Iterable[int], visible_courses: QuerySet[Course] | None) -> dict[int, Refusal]:
    """Return a refusal for each course id that the caller may not use, by id."""
    if visible_courses is None:
        return {}
    requested = set(course_ids)
    return {
        pk: course_not_found(pk)
        for pk in requested.difference(visible_courses.filter(pk__any_of=requested).values_list("pk", flat=True))
    }


def _validate_items(items: Iterable[Any]) -> list[dict[str, Any] | InvalidItem]:
    serializers_by_action = {action: serializer() for action, serializer in ITEMS.items()}
    bodies: list[dict[str, Any] | InvalidItem] = []
    details: dict[Any, Any] = {}
    error_count = 0
    for index, item in enumerate(items):
        try:
            bodies.append(_validate_item(item, serializers_by_action))
        except ValidationError as error:
            reasons = tuple(flatten_errors(error.detail))
            bodies.append(InvalidItem("invalid", reasons))
            details[index] = error.detail
            error_count += len(reasons)
            if error_count > MAX_BATCH_ERRORS:
                raise ValidationError({"items": details}) from None
    return bodies


def _validate_item(item: Any, serializers_by_action: dict[str, ItemSerializer]) -> dict[str, Any]:
    """Return the validated values of an item; raise ``ValidationError``."""
    if not isinstance(item, dict):
        raise ValidationError(_("The item must be an object."), code="invalid")
    action = item.get("action")
    if not isinstance(action, str) or action not in serializers_by_action:
        code = "invalid_choice" if "action" in item else "required"
        message = _("The action must be one of: %(names)s.") % {"names": ", ".join(serializers_by_action)}
        raise ValidationError({"action": [ErrorDetail(message, code=code)]})
    return dict(serializers_by_action[action].run_validation(item))


def _to_command(
    body: dict[str, Any],
    students: dict[str, int],
    unknown: dict[str | int, Refusal],
    courses: dict[CourseKey, Course | Refusal],
    hidden_courses: dict[int, Refusal],
) -> EnrollmentCommand | InvalidItem:
    number, key = body.get("student_number"), course_key_from(body)
    student_id = body["student_id"] if number is None else students.get(number)
    course = courses[key] if key else hidden_courses.get(body["course_id"])
    reasons = [unknown[identifier]] if (identifier := number or student_id) in unknown else []
    reasons += [course] if isinstance(course, Refusal) else []
    instead_of = _instead_of(body, courses, hidden_courses)
    reasons += [instead_of] if isinstance(instead_of, Refusal) else []
    if reasons or student_id is None or isinstance(course, Refusal) or isinstance(instead_of, Refusal):
        is_missing = reasons[0].code != "course_ambiguous"
        return InvalidItem("not_found" if is_missing else "refused", tuple(reasons))
    return EnrollmentCommand(
        Action(body["action"]),
        student_id,
        course.pk if course else body["course_id"],
        body.get("grade"),
        body["reason"],
        OnFull(body.get("on_full", OnFull.REJECT)),
        frozenset(body.get("waive", ())),
        instead_of=instead_of,
    )


def _instead_of(
    body: dict[str, Any], courses: dict[CourseKey, Course | Refusal], hidden_courses: dict[int, Refusal]
) -> int | Refusal | None:
    """Return the id of the course that the student leaves for a seat, or a refusal; None if there is none."""
    identifier = body.get("instead_of")
    if identifier is None:
        return None
    course_id = parse_id(identifier)
    found = hidden_courses.get(course_id, course_id) if course_id else courses[parse_course_key(identifier)]
    if isinstance(found, Refusal):
        return found.with_field("instead_of")
    return found.pk if isinstance(found, Course) else found
