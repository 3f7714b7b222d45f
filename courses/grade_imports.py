"""Imports the table of grades from files."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from bulk.files.csv_reader import Column
from bulk.importers.cell_values import parse_cell
from bulk.importers.object_saver import ObjectEntry, ObjectSaver
from bulk.importers.upsert import UpsertImporter
from bulk.row_results import CHANGED_OUTCOMES, UPDATED
from courses.grades import refusals_of_changes, table_refusals
from courses.models import Grade
from courses.prerequisites import lock_prerequisites
from school.refusals import Refusal


class GradeSaver(ObjectSaver):
    """Saves grades if the whole table stays valid. ``students.imports`` extends it, because students may qualify."""

    model = Grade

    def find_by_keys(self, keys: Collection[Any]) -> dict[Hashable, Any]:
        lock_prerequisites()  # this lock is always taken before the locks of rows
        grades = Grade.objects.filter(code__in=keys).select_for_update(no_key=True).order_by("pk")
        return {grade.code: grade for grade in grades}

    def save_objects(
        self, entries: Sequence[ObjectEntry], field_names: Sequence[str]
    ) -> tuple[dict[int, list[Refusal]], dict[int, str]]:
        """Save the grades as the base class does, except those with which the table would be invalid."""
        refused: dict[int, list[Refusal]] = {}
        changed = [each.instance for each in entries if each.outcome in CHANGED_OUTCOMES]
        # Without a refused change the table is another one, so the remaining changes are checked again.
        while found := refusals_of_changes([each for each in changed if id(each) not in refused]):
            refused |= found
        others, reassigned = super().save_objects([e for e in entries if id(e.instance) not in refused], field_names)
        return refused | others, reassigned

    def _write(self, entries: Sequence[ObjectEntry], reassigned: Collection[int] = ()) -> None:
        if "rank" in self.field_names:
            # Two grades may exchange their ranks, and the database compares them after each row that it writes.
            changed = [each.instance.pk for each in entries if each.outcome == UPDATED]
            Grade.objects.filter(pk__in=changed).update(rank=None)
        super()._write(entries, reassigned)


class GradeImporter(GradeSaver, UpsertImporter):
    """Imports grades. The code of a grade identifies it."""

    kind = "grades"
    file_names = ("grades",)
    id_column = "grade_id"
    key_columns = ("grade",)
    fields = ("passes", "rank")
    columns = (
        Column("grade", required=True, aliases=("code", "gradecode")),
        Column("passes", required=True),
        Column("rank"),
    )

    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        return cells["grade"]

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        lock_prerequisites()
        # FOR UPDATE, because the grades may be deleted.
        return {grade.pk: grade for grade in Grade.objects.filter(pk__in=ids).select_for_update().order_by("pk")}

    def deletion_refusal(self, instance: Any) -> Refusal | None:
        return next(iter(table_refusals(None, [instance.pk])), None)

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.code]

    def build(self, cells: Mapping[str, str]) -> Grade:
        try:
            parse_cell(Grade._meta.get_field("code"), cells["grade"])
        except ValidationError as error:
            raise ValidationError({"grade": error}) from None
        return Grade(code=cells["grade"])
