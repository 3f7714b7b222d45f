"""
The importers for student files and course files, which promote waitlisted students after a change, and their undo.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from bulk.files.csv_reader import Column, Row, Table, UnreadableFile
from bulk.importers.cell_values import parse_cell, read_is_active
from bulk.importers.history_undo import HistoryUndo
from bulk.importers.upsert import UpsertImporter
from bulk.models import Import
from courses.imports import CourseImporter
from courses.models import Course
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from students.enrollment import lock_to_deactivate, lock_waitlisted_courses, promote
from students.imports.actor import actor_from_import
from students.imports.role_filter import not_a_student
from students.models import Student
from students.seats import annotate_seats, get_seats


class CourseWithSeatsImporter(CourseImporter):
    """Imports courses. A change to a course may free seats, which are given to waitlisted students."""

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job)

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        course_ids = [course.pk for course in instances]
        promote(course_ids, actor=self.actor)
        courses = annotate_seats(Course.objects.filter(pk__in=course_ids))
        return {course.pk: warning.message for course in courses for warning in get_seats(course).warnings}


class StudentImporter(UpsertImporter):
    kind = "students"
    file_names = ("students", "users")
    id_column = "student_id"
    key_columns = ("student_number",)
    model = Student
    fields = ("given_name", "family_name", "email", "is_active")
    unique_field, unique_constraint = "email", "student_email_is_unique"
    row_constraints = ("student_has_a_name",)
    columns = (
        Column("student_number", required=True, aliases=("user_id", "sourcedid")),
        Column("given_name", required=True, aliases=("first_name", "givenname")),
        Column("family_name", required=True, aliases=("last_name", "familyname")),
        Column("email"),
        Column("is_active"),
        Column("status"),
        Column("enabled_user", aliases=("enableduser",)),
        Column("role", aliases=("roles",)),
        Column("primary_org", aliases=("primaryorgsourcedid",)),
    )
    example: ClassVar[Mapping[str, str]] = {
        "student_number": "S-1042",
        "given_name": "Ada",
        "family_name": "Byron",
        "email": "ada.byron@example.edu",
        "is_active": "true",
    }
    statuses: ClassVar[Mapping[str, bool]] = {
        "active": True,
        **dict.fromkeys(("inactive", "suspended", "deleted", "tobedeleted"), False),
    }

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job)

    def table(self) -> Table:
        """
        Return the file under its header; raise ``UnreadableFile`` for a users file of OneRoster 1.2 without roles.

        In OneRoster 1.2 the roles are in another file. Without that file, teachers could not be distinguished from
        students.
        """
        table = super().table()
        if "primary_org" in table.names and "role" not in table.names:
            message = _("The roles of these users are in roles.csv. Add a column role to this file.")
            raise UnreadableFile("missing_column", message, 1)
        return table

    def skip_reason(self, row: Row) -> str:
        return not_a_student(row.cells)

    def normalize_cells(self, cells: dict[str, str]) -> list[Refusal]:
        return read_is_active(cells, self.statuses)

    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        return cells["student_number"]

    def find_existing(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        numbers = {row.cells["student_number"] for row in rows}
        locked = self._locked(Student.objects.filter(student_number__in=numbers))
        return {student.student_number: student for student in locked}

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        # Lock FOR UPDATE, because an undo may delete or deactivate these students.
        return {student.pk: student for student in self._locked(Student.objects.filter(pk__in=ids), no_key=False)}

    def _locked(self, students: QuerySet[Student], *, no_key: bool = True) -> QuerySet[Student]:
        self.locked_courses = lock_waitlisted_courses(students.values_list("pk", flat=True))
        return students.select_for_update(no_key=no_key).order_by("pk")

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.student_number]

    def build(self, cells: Mapping[str, str]) -> Student:
        try:
            parse_cell(Student._meta.get_field("student_number"), cells["student_number"])
        except ValidationError as error:
            raise ValidationError({"student_number": error}) from None
        return Student(student_number=cells["student_number"])

    def before_save(self, instances: Sequence[Any]) -> None:
        lock_to_deactivate(student.pk for student in instances if not student.is_active)

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        promote(self.locked_courses, actor=self.actor)
        return {}


class StudentUndo(HistoryUndo):
    kind = StudentImporter.kind
    id_column = StudentImporter.id_column
    key_columns = ("id",)
    columns = ()
    importer_class = StudentImporter


class CourseUndo(HistoryUndo):
    kind = CourseWithSeatsImporter.kind
    id_column = CourseWithSeatsImporter.id_column
    key_columns = ("id",)
    columns = ()
    importer_class = CourseWithSeatsImporter


StudentImporter.undo_importer = StudentUndo
CourseWithSeatsImporter.undo_importer = CourseUndo
