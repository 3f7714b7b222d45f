"""The column of course files that assigns staff to new courses."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from bulk.files.csv_reader import Row
from bulk.importers.object_saver import ObjectEntry
from bulk.importers.upsert import UpsertImporter
from bulk.models import Import
from bulk.row_results import CREATED
from courses.models import CourseStaff
from school.i18n.stored_messages import translatable as _

STAFF = "staff"  # the user names, separated by blanks


def active_staff() -> QuerySet[Any]:
    """Return the users that a file can assign to courses."""
    return get_user_model().objects.filter(is_staff=True, is_active=True)


class StaffColumn(UpsertImporter):
    """
    Importer mixin that assigns the users in the column ``staff`` to the courses that the file creates.

    The undo of the import deletes these courses together with their staff. No scope allows an API client to assign
    staff.
    """

    rights: ClassVar[Mapping[str, tuple[str, str]]] = {STAFF: ("", "courses.add_coursestaff")}

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.users: dict[str, int] = {}  # the ids of the users that the rows of a chunk name, by user name

    def find_staff(self, rows: Sequence[Row]) -> None:
        names = {name for row in rows for name in row.cells.get(STAFF, "").split()}
        users = active_staff().filter(username__in=names)
        self.users = dict(users.values_list("username", "pk")) if names else {}

    def staff_of(self, cells: Mapping[str, str]) -> list[int]:
        """Return the ids of the users in a row; raise ``ValidationError``."""
        names = list(dict.fromkeys(cells.get(STAFF, "").split()))
        if names and STAFF not in self.job.rights:
            raise ValidationError(_("You do not have permission to assign staff."), code="staff_not_allowed")
        unknown = [name for name in names if name not in self.users]
        if unknown:
            message = _("There is no active staff user %(names)s.") % {"names": ", ".join(unknown)}
            raise ValidationError(message, code="user_not_found")
        return [self.users[name] for name in names]

    def _write(self, entries: Sequence[ObjectEntry], reassigned: Collection[int] = ()) -> None:
        super()._write(entries, reassigned)
        new: list[Any] = [entry.instance for entry in entries if entry.outcome == CREATED]
        CourseStaff.objects.bulk_create(
            [CourseStaff(course=course, user_id=user) for course in new for user in course.new_staff]
        )
