"""The columns of the student file and of the enrollment file, handing over to the verbs."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from bulk.importing import ERROR, Importer, RowResult
from bulk.reading import Column, Row
from bulk.upsert import UpsertImporter, parse
from courses.imports import CourseImporter
from courses.lookup import CourseKey, courses_by_key
from courses.models import Course
from school.refusals import Refusal
from students.acts import Act, OnFull, Origin, Outcome
from students.enrollment import courses_waited_for, perform, promote
from students.lookup import student_ids_by_number, student_not_found
from students.models import Action, Status, Student
from students.register import Register
from students.rules import objections_to_waiver
from students.seats import seats_of, with_seats


class CourseWithSeatsImporter(CourseImporter):
    """The course file: who changes a course may free a seat, which goes to who waits."""

    def __init__(self, origin: Origin, **options: Any) -> None:
        super().__init__(**options)
        self.origin = origin

    def saved(self, instances: Sequence[Any]) -> Mapping[int, str]:
        course_ids = [course.pk for course in instances]
        promote(course_ids, origin=self.origin)
        courses = with_seats(Course.objects.filter(pk__in=course_ids))
        return {course.pk: warning.message for course in courses for warning in seats_of(course).warnings}


class StudentImporter(UpsertImporter):
    kind = "students"
    id_column = "student_id"
    key_columns = ("student_number",)
    model = Student
    fields = ("given_name", "family_name", "email", "is_active")
    columns = (
        Column("student_number", required=True),
        Column("given_name", required=True),
        Column("family_name", required=True),
        Column("email"),
        Column("is_active"),
    )

    def __init__(self, origin: Origin, **options: Any) -> None:
        super().__init__(**options)
        self.origin = origin

    def key(self, cells: Mapping[str, str]) -> Hashable:
        return cells["student_number"]

    def find(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        numbers = {row.cells["student_number"] for row in rows}
        found = Student.objects.filter(student_number__in=numbers)
        self.waited_for = courses_waited_for(found.values_list("pk", flat=True))
        locked = found.select_for_update(no_key=True).order_by("pk")
        return {student.student_number: student for student in locked}

    def make(self, cells: Mapping[str, str]) -> Student:
        try:
            parse(Student._meta.get_field("student_number"), cells["student_number"])
        except ValidationError as error:
            raise ValidationError({"student_number": error}) from None
        return Student(student_number=cells["student_number"])

    def saved(self, instances: Sequence[Any]) -> Mapping[int, str]:
        promote(self.waited_for, origin=self.origin)
        return {}


# What the status column may ask for. Canvas and OneRoster say active and deleted.
WISHES = {
    "": Action.ENROLL,
    "enrolled": Action.ENROLL,
    "active": Action.ENROLL,
    "waitlisted": Action.ENROLL,
    "dropped": Action.DROP,
    "withdrawn": Action.DROP,
    "deleted": Action.DROP,
    "tobedeleted": Action.DROP,
    "completed": Action.COMPLETE,
}

OUTCOMES = {Action.ENROLL: "enrolled", Action.DROP: "dropped", Action.COMPLETE: "completed"}


class EnrollmentImporter(Importer):
    """
    A file of desired states: a row says how a student stands in a course, and what is so already is left alone.

    Rows take effect in their order, so an earlier row gets the last seat.
    """

    kind = "enrollments"
    id_column = "enrollment_id"
    key_columns = ("student_number", "course_code", "term")
    columns = (
        Column("student_number", required=True, aliases=("user_id", "usersourcedid")),
        Column("course_code", required=True, aliases=("course_id", "classsourcedid")),
        Column("term"),
        Column("status"),
        Column("grade"),
        Column("reason"),
        Column("waive"),
    )

    def __init__(self, origin: Origin, *, on_full: OnFull = OnFull.REJECT) -> None:
        self.origin = origin
        self.on_full = on_full
        self.register = Register()  # an import is one transaction, so its courses stay locked

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        self.student_ids = student_ids_by_number(row.cells["student_number"] for row in rows)
        self.courses = courses_by_key(_course_key(row) for row in rows)
        courses = (self.courses[_course_key(row)] for row in rows)
        # By the course itself: its code alone and its code with the term may name the same one.
        return [
            (row.cells["student_number"], _course_key(row) if isinstance(course, Refusal) else course.pk)
            for row, course in zip(rows, courses, strict=True)
        ]

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        wishes = [self._read(row) for row in rows]
        outcomes = iter(perform([wish for wish in wishes if isinstance(wish, Act)], self.origin, self.register))
        results = []
        for row, wish in zip(rows, wishes, strict=True):
            if not isinstance(wish, Act):
                results.append(RowResult(row, ERROR, errors=tuple(wish)))
                continue
            outcome = next(outcomes)
            if outcome.refusals:
                results.append(RowResult(row, ERROR, errors=outcome.refusals))
            else:
                results.append(_told(row, outcome))
        return results

    def _read(self, row: Row) -> Act | list[Refusal]:
        """Return what the row asks for, or every reason why it cannot be read."""
        errors: list[Refusal] = []
        number = row.cells["student_number"]
        if number not in self.student_ids:
            errors.append(student_not_found(number).at("student_number"))
        course = self.courses[_course_key(row)]
        if isinstance(course, Refusal):
            errors.append(course.at(course.field or "course_code"))
        status = row.cells.get("status", "").lower()
        action = WISHES.get(status)
        if action is None:
            choices = ", ".join([Status.ENROLLED, Status.WAITLISTED, Status.DROPPED, Status.COMPLETED])
            message = _("%(status)s is none of: %(choices)s.") % {"status": status, "choices": choices}
            errors.append(Refusal("invalid_choice", message, field="status"))
        grade, reason = row.cells.get("grade", ""), row.cells.get("reason", "")
        waive = frozenset(row.cells.get("waive", "").split())
        errors += objections_to_waiver(waive, reason, may_waive=True)  # whether this one may is no matter of the file
        if grade and action not in (None, Action.COMPLETE):
            errors.append(Refusal("invalid", _("Only a completed enrollment has a grade."), field="grade"))
        for name, value, most in (("grade", grade, 32), ("reason", reason, 1000)):
            if len(value) > most:
                message = _("This has more than %(most)s characters.") % {"most": most}
                errors.append(Refusal("max_length", message, field=name))
        if errors or action is None or isinstance(course, Refusal):
            return errors
        on_full = OnFull.WAITLIST if status == Status.WAITLISTED else self.on_full
        return Act(action, self.student_ids[number], course.pk, grade or None, reason, on_full, waive)


def _told(row: Row, outcome: Outcome) -> RowResult:
    """Return what became of an accepted row. Who waits is told their place in line."""
    enrollment = outcome.enrollment
    assert enrollment is not None  # an accepted act has one
    if not outcome.changed:
        return RowResult(row, "unchanged", enrollment.pk)
    if outcome.act.action == Action.ENROLL and enrollment.status == Status.WAITLISTED:
        note = _("Place %(position)s in line.") % {"position": enrollment.waitlist_position}
        return RowResult(row, "waitlisted", enrollment.pk, note=note)
    return RowResult(row, OUTCOMES[outcome.act.action], enrollment.pk)


def _course_key(row: Row) -> CourseKey:
    return CourseKey(row.cells["course_code"], row.cells.get("term", ""))
