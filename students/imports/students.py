"""The importer for student files, which promotes waitlisted students after a change, and its undo."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils.functional import cached_property

from bulk.files.csv_reader import Column, Row, Table, UnreadableFile
from bulk.importers.base import CHUNK_SIZE, Source
from bulk.importers.cell_values import parse_cell, read_is_active
from bulk.importers.external_id_index import RowId, RowIdIndex
from bulk.importers.history_undo import HistoryUndo
from bulk.importers.upsert import UpsertImporter
from bulk.models import Import
from bulk.roster_zips.binding import ACTIVE, TO_BE_DELETED
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from students.imports.actor import actor_from_import
from students.imports.object_savers import StudentSaver
from students.imports.role_filter import not_a_student
from students.models import Student

ROLES = "roles"  # the file in which OneRoster 1.2 has the roles of users


def _has_separate_roles(table: Table) -> bool:
    """Return True for a users file of OneRoster 1.2, whose roles are in another file."""
    return "primary_org" in table.names and "role" not in table.names


def _role_of(row: Row) -> str:
    return row.cells.get("role", "")


class StudentImporter(StudentSaver, UpsertImporter):
    kind = "students"
    file_names = ("students", "users")
    roster_file = "users"
    lookup_columns = {
        ROLES: (
            Column("user", required=True, aliases=("usersourcedid",)),
            Column("role", required=True),
            Column("status"),
        )
    }
    id_column = "student_id"
    key_columns = ("student_number",)
    fields = ("given_name", "family_name", "email", "max_credits", "is_active")
    columns = (
        Column("student_number", required=True, aliases=("user_id", "sourcedid")),
        Column("given_name", required=True, aliases=("first_name", "givenname")),
        Column("family_name", required=True, aliases=("last_name", "familyname")),
        Column("email"),
        Column("max_credits"),
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
        self.skipped: dict[int, str] = {}  # the reasons why rows are not imported, by row number

    def table(self) -> Table:
        """
        Return the file under its header; raise ``UnreadableFile`` for a users file of OneRoster 1.2 without roles.

        In OneRoster 1.2 the roles are in another file. Without that file, teachers could not be distinguished from
        students. In a delta the roles that have not changed are missing.
        """
        table = super().table()
        if _has_separate_roles(table) and ROLES not in self.lookup_files and not self.is_delta:
            message = _("The roles of these users are in roles.csv. Add a column role to this file.")
            raise UnreadableFile("missing_column", message, 1)
        return table

    def needs_lookup(self, name: str) -> bool:
        return _has_separate_roles(super().table())

    @property
    def is_delta(self) -> bool:
        """True for a file of OneRoster with only the users that have changed."""
        return self.manifest is not None and self.manifest.is_delta(self.roster_file)

    def resolve(self, rows: Sequence[Row], source: Source) -> None:
        readable = [row for row in rows if not row.errors]
        if self.roles is not None:
            for row in readable:
                row.cells["role"] = ",".join(self.roles.keys(ACTIVE, row.cells["student_number"]))
        if self.is_delta:
            self._skip_others([row for row in readable if row.cells["status"] == TO_BE_DELETED or not _role_of(row)])
        elif self.roles is not None:
            message = _("The zip has no role of this user.")
            self.skipped |= {row.number: message for row in readable if not row.cells["role"]}

    def _skip_others(self, rows: Sequence[Row]) -> None:
        """Skip those rows of a delta that are not about a student of School."""
        numbers = {row.cells["student_number"] for row in rows}
        known = set(Student.objects.filter(student_number__in=numbers).values_list("student_number", flat=True))
        for row in rows:
            number = row.cells["student_number"]
            if row.cells["status"] == TO_BE_DELETED and number not in known:
                self.skipped[row.number] = _("School has no such student.")
            elif number not in known:
                self.skipped[row.number] = _("The zip has no role of this user, and School has no such student.")
            elif row.cells["status"] != TO_BE_DELETED and self.roles and self.roles.keys(TO_BE_DELETED, number):
                message = _("The role of this user is deleted. Nothing else is changed.")
                self.skipped[row.number] = message

    @cached_property
    def roles(self) -> RowIdIndex | None:
        """The roles of users by their ids and by the status of the role; None if the zip has no file of roles."""
        table = self.lookup_table(ROLES)
        if table is None:
            return None
        index = RowIdIndex()
        for rows in table.chunks(CHUNK_SIZE):
            cells = [(row.number, row.cells) for row in rows if not row.errors]
            index.add(
                RowId(each.get("status", "").lower() or ACTIVE, each["user"], each["role"], number)
                for number, each in cells
                if each["role"]
            )
        return index

    def close(self) -> None:
        if index := vars(self).pop("roles", None):
            index.close()

    def skip_reason(self, row: Row) -> str:
        return self.skipped.get(row.number) or not_a_student(row.cells)

    def normalize_cells(self, cells: dict[str, str]) -> list[Refusal]:
        return read_is_active(cells, self.statuses)

    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        return cells["student_number"]

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        # Lock FOR UPDATE, because an undo may delete or deactivate these students.
        return {student.pk: student for student in self.lock_students(Student.objects.filter(pk__in=ids), no_key=False)}

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.student_number]

    def build(self, cells: Mapping[str, str]) -> Student:
        try:
            parse_cell(Student._meta.get_field("student_number"), cells["student_number"])
        except ValidationError as error:
            raise ValidationError({"student_number": error}) from None
        return Student(student_number=cells["student_number"])


class StudentUndo(HistoryUndo):
    kind = StudentImporter.kind
    id_column = StudentImporter.id_column
    key_columns = ("id",)
    columns = ()
    importer_class = StudentImporter


StudentImporter.undo_importer = StudentUndo
