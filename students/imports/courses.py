"""The importer for course files, which promotes waitlisted students after a change, and its undo."""

from bulk.importers.history_undo import HistoryUndo
from bulk.models import Import
from courses.imports import CourseImporter
from students.imports.actor import actor_from_import
from students.imports.object_savers import CourseWithSeatsSaver


class CourseWithSeatsImporter(CourseWithSeatsSaver, CourseImporter):
    """Imports courses. A change to a course may free seats, which are given to waitlisted students."""

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job)


class CourseUndo(HistoryUndo):
    kind = CourseWithSeatsImporter.kind
    id_column = CourseWithSeatsImporter.id_column
    key_columns = ("id",)
    columns = ()
    importer_class = CourseWithSeatsImporter


CourseWithSeatsImporter.undo_importer = CourseUndo
