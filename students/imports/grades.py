"""The importer for files of grades, which promotes waitlisted students after a change, and its undo."""

from collections.abc import Mapping, Sequence
from typing import Any

from bulk.files.csv_reader import Row
from bulk.importers.history_undo import HistoryUndo
from bulk.models import Import
from bulk.row_results import RowResult
from courses.grade_imports import GradeImporter
from courses.models import Grade
from students.enrollment import promote_by_grades
from students.imports.actor import actor_from_import


class GradeWithWaitlistsImporter(GradeImporter):
    """Imports grades. By a change, waitlisted students may meet prerequisites, and get free seats."""

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job)

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        promote_by_grades(actor=self.actor)
        return {}


class GradeUndo(HistoryUndo):
    kind = GradeWithWaitlistsImporter.kind
    id_column = GradeWithWaitlistsImporter.id_column
    key_columns = ("id",)
    columns = ()
    importer_class = GradeWithWaitlistsImporter

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        # The last grade that passes can be deleted only after the others.
        passing = {str(pk) for pk in Grade.objects.filter(passes=True).values_list("pk", flat=True)}
        return super().apply(sorted(rows, key=lambda row: row.cells["id"] in passing))


GradeWithWaitlistsImporter.undo_importer = GradeUndo
