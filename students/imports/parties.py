"""The columns of the student file, and what a changed student or course means for who waits."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from bulk.models import Import
from bulk.reading import Column, Row
from bulk.undoing import HistoryUndo
from bulk.upsert import UpsertImporter, parse
from courses.imports import CourseImporter
from courses.models import Course
from students.enrollment import courses_waited_for, promote
from students.imports.origin import origin_of
from students.models import Student
from students.seats import seats_of, with_seats


class CourseWithSeatsImporter(CourseImporter):
    """The course file: who changes a course may free a seat, which goes to who waits."""

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.origin = origin_of(job)

    def saved(self, instances: Sequence[Any]) -> Mapping[int, str]:
        course_ids = [course.pk for course in instances]
        promote(course_ids, origin=self.origin)
        courses = with_seats(Course.objects.filter(pk__in=course_ids))
        return {course.pk: warning.message for course in courses for warning in seats_of(course).warnings}


class StudentImporter(UpsertImporter):
    kind = "students"
    file_names = ("students", "users")
    id_column = "student_id"
    key_columns = ("student_number",)
    model = Student
    fields = ("given_name", "family_name", "email", "is_active")
    columns = (
        Column("student_number", required=True, aliases=("user_id", "sourcedid")),
        Column("given_name", required=True, aliases=("first_name", "givenname")),
        Column("family_name", required=True, aliases=("last_name", "familyname")),
        Column("email"),
        Column("is_active"),
    )

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.origin = origin_of(job)

    def key(self, cells: Mapping[str, str]) -> Hashable:
        return cells["student_number"]

    def find(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        numbers = {row.cells["student_number"] for row in rows}
        locked = self._locked(Student.objects.filter(student_number__in=numbers))
        return {student.student_number: student for student in locked}

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        return {student.pk: student for student in self._locked(Student.objects.filter(pk__in=ids))}

    def _locked(self, found: QuerySet[Student]) -> QuerySet[Student]:
        self.waited_for = courses_waited_for(found.values_list("pk", flat=True))
        return found.select_for_update(no_key=True).order_by("pk")

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.student_number]

    def make(self, cells: Mapping[str, str]) -> Student:
        try:
            parse(Student._meta.get_field("student_number"), cells["student_number"])
        except ValidationError as error:
            raise ValidationError({"student_number": error}) from None
        return Student(student_number=cells["student_number"])

    def saved(self, instances: Sequence[Any]) -> Mapping[int, str]:
        promote(self.waited_for, origin=self.origin)
        return {}


class StudentUndo(HistoryUndo):
    kind = StudentImporter.kind
    id_column = StudentImporter.id_column
    key_columns = ("id",)
    columns = ()
    of = StudentImporter


class CourseUndo(HistoryUndo):
    kind = CourseWithSeatsImporter.kind
    id_column = CourseWithSeatsImporter.id_column
    key_columns = ("id",)
    columns = ()
    of = CourseWithSeatsImporter


StudentImporter.undoer = StudentUndo
CourseWithSeatsImporter.undoer = CourseUndo
