"""Undoes an import of enrollments by means of the journal."""

from collections.abc import Hashable, Iterator, Sequence

from django.db.models import QuerySet
from django.utils.functional import cached_property

from bulk.files.csv_reader import Row
from bulk.importers.base import CHUNK_SIZE, Importer, SyntheticRows
from bulk.importers.undo_report_row_numbers import FileRowNumbers
from bulk.models import Import
from bulk.row_results import ERROR, KEPT, REVERSED, RowResult
from courses.lookup import key_of
from courses.models import Grade
from school.access.row_scope import filter_by_scope
from students.enrollment import promote, undo_batch
from students.enrollment.affected_courses import courses_with_qualifiable_students, waits_of
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import SYSTEM_ACTIONS
from students.enrollment.rules import unchanged_since_import
from students.imports.actor import actor_from_import
from students.models import Action, EnrollmentEvent, Status


class EnrollmentUndo(Importer):
    """
    Generates a row for each change by the import, the last change first; applying the row undoes the change.

    Seats that become free are given to waitlisted students after the last row. Changes of enrollments that an earlier
    undo of the same import has changed are left out.
    """

    kind = "enrollments"
    id_column = "enrollment_id"
    key_columns = ("student_id", "course_id")
    columns = ()

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        assert job.undoes is not None  # a database constraint requires it for every undo
        self.original_import = job.undoes
        self.actor = actor_from_import(job)

    def source(self) -> SyntheticRows:
        return SyntheticRows(["student_number", "course_code", "term", "section"], self._rows)

    def _user_events(self) -> QuerySet[EnrollmentEvent]:
        visible_events = filter_by_scope(EnrollmentEvent.objects.all(), self.row_scope)
        events = visible_events.filter(file_import=self.original_import).exclude(action__in=SYSTEM_ACTIONS)
        earlier = Import.objects.filter(undoes=self.original_import).exclude(pk=self.job.pk)
        undone = EnrollmentEvent.objects.filter(file_import__in=earlier, action=Action.UNDO)
        return events.exclude(enrollment__in=undone.values("enrollment"))

    def _rows(self) -> Iterator[Row]:
        related = ("enrollment__student", "enrollment__course__term")
        all_events = self._user_events().select_related(*related).order_by("-pk")
        events, number = list(all_events[:CHUNK_SIZE]), 1
        while events:
            file_numbers = self._file_row_numbers.of([event.enrollment_id for event in events])
            for event in events:
                number += 1
                student, course = event.enrollment.student, event.enrollment.course
                raw = [student.student_number, *key_of(course)]
                cells = {"student_id": str(student.pk), "course_id": str(course.pk)}
                file_number = file_numbers.get(event.enrollment_id, 0)
                yield Row(number, raw, cells, is_synthetic=True, file_number=file_number)
            events = list(all_events.filter(pk__lt=events[-1].pk)[:CHUNK_SIZE])

    @cached_property
    def _file_row_numbers(self) -> FileRowNumbers:
        return FileRowNumbers(self.original_import, self.kind)

    def close(self) -> None:
        if numbers := vars(self).pop("_file_row_numbers", None):
            numbers.close()

    def row_keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [(row.cells["student_id"], row.cells["course_id"]) for row in rows]

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        commands = [
            EnrollmentCommand(
                Action.UNDO,
                int(row.cells["student_id"]),
                int(row.cells["course_id"]),
                reason=f"import {self.original_import.pk}",
                only_if_changed_by_import=self.original_import.pk,
            )
            for row in rows
        ]
        outcomes = undo_batch(commands, self.actor)
        results = []
        for row, outcome in zip(rows, outcomes, strict=True):
            codes = {refusal.code for refusal in outcome.refusals}
            code = KEPT if unchanged_since_import.code in codes else ERROR if codes else REVERSED
            results.append(
                RowResult(row, code, outcome.enrollment.pk if outcome.enrollment else None, outcome.refusals)
            )
        return results

    def finish(self) -> None:
        events = self._user_events().order_by()
        courses = events.values_list("enrollment__course", flat=True).distinct()
        # The students may wait for other courses, and have credits, time or a corequisite again.
        others = waits_of(events.values("enrollment__student"))
        promote({*courses, *others, *self._courses_by_grades()}, actor=self.actor)

    def _courses_by_grades(self) -> list[int]:
        """Return the courses for which students may qualify by grades that the undo has restored."""
        graded = self._user_events().filter(action=Action.COMPLETE, from_status=Status.COMPLETED)
        students = graded.order_by().values_list("enrollment__student", flat=True).distinct()
        return courses_with_qualifiable_students(students) if Grade.objects.exists() else []
