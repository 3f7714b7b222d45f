"""
The base class of the enrollment importer for full files: it ends the enrollments that the file does not list.

Enrollments that a person or another source has changed last are kept, and so are those that a faulty row may be about.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

from django.db.models import QuerySet

from bulk.files.csv_reader import Row
from bulk.importers.base import CHUNK_SIZE, FLAG_SET, Importer
from bulk.models import Import, Mode
from bulk.row_results import DROPPED, ERROR, KEPT_UNCERTAIN, UNCHANGED, RowResult
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from students.enrollment import execute, promote
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext, EnrollmentKey
from students.enrollment.loading import lock_and_load
from students.enrollment.outcomes import Outcome
from students.imports.actor import actor_from_import
from students.imports.full_file_scope import Scope
from students.imports.listed_rows import ListedRows
from students.models import OPEN_STATUSES, Action, EnrollmentEvent, Status, StudentCourse

# Maps each action that ends an enrollment to the statuses in which it is possible.
ENDING_ACTIONS: dict[str, tuple[str, ...]] = {Action.DROP: OPEN_STATUSES, Action.COMPLETE: (Status.ENROLLED,)}
MAX_LISTED_ROWS = 20  # the maximum number of rows that a notice lists


class FullFileImporter(Importer):
    """Ends unlisted enrollments in the scope of a full file. ``listed`` has the students and courses of its rows."""

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job, self.row_scope)
        self.takes_over = job.options.get("take_over") == FLAG_SET
        self.scope = self.current_scope()
        self.uncertain_rows: set[int] = set()

    def current_scope(self) -> Scope | None:
        """Return the scope of a full file, read from the database; None for other files."""
        job = self.job
        return Scope(job.scope, job.dataset_key, self.row_scope) if job.mode == Mode.FULL else None

    @cached_property
    def freed_courses(self) -> frozenset[int]:
        """The ids of the courses in which a full import has freed seats before its rows are applied."""
        return self._courses_with_freed_seats() if self.scope else frozenset()

    def _courses_with_freed_seats(self) -> frozenset[int]:
        ends = self._own_ends().filter(from_status=Status.ENROLLED)
        return frozenset(ends.values_list("enrollment__course", flat=True).distinct())

    def _own_ends(self) -> QuerySet[EnrollmentEvent]:
        return EnrollmentEvent.objects.filter(file_import=self.job, action__in=ENDING_ACTIONS).order_by()

    def scope_size(self) -> int:
        if not self.scope:
            return 0
        return (self.scope.enrollments() if self.takes_over else self.scope.own_enrollments()).count()

    @cached_property
    def listed(self) -> ListedRows:
        return ListedRows()

    def close(self) -> None:
        if listed := self.__dict__.pop("listed", None):
            listed.close()

    def drop_unlisted(self) -> Iterator[list[RowResult]]:
        assert self.scope is not None  # only a full import ends unlisted enrollments
        self.uncertain_rows.clear()
        context = DecisionContext(partial_rows=True)
        for commands in self.listed.ending_commands(CHUNK_SIZE):
            self._lock(commands, context)
            self._end_locked(commands, context)
        for enrollments in self.scope.chunks():
            unlisted = [each for each in enrollments if not self.listed.has(each.key)]
            yield [*self._end_or_keep(unlisted, context)]
        self.freed_courses = self._courses_with_freed_seats()
        # Waitlisted students that the file lists come before those that it does not list, and before new enrollments.
        promote(self.freed_courses, actor=self.actor, key_filter=self.listed.has)
        promote(context.before_waitlist - self.freed_courses, actor=self.actor)

    def _lock(self, commands: Sequence[EnrollmentCommand], context: DecisionContext) -> None:
        """Lock the courses of commands that end enrollments, so that nobody else changes them, and load the facts."""
        context.before_waitlist |= {command.course_id for command in commands}
        lock_and_load(commands, context, self.actor)

    def _end_locked(
        self, commands: Sequence[EnrollmentCommand], context: DecisionContext
    ) -> dict[EnrollmentKey, Outcome]:
        """End locked enrollments and leave their seats free. Return an outcome for each that the action can end."""
        latest = context.latest_enrollments
        commands = [
            command
            for command in commands
            if command.key in latest and latest[command.key].status in ENDING_ACTIONS[command.action]
        ]
        return {outcome.command.key: outcome for outcome in execute(commands, self.actor, context)}

    def _end_or_keep(self, unlisted: Sequence[StudentCourse], context: DecisionContext) -> Iterator[RowResult]:
        """Drop unlisted enrollments, except those of other datasets and those that a faulty row may be about."""
        assert self.scope is not None
        reason = _("No longer in the full file of import %(id)s.") % {"id": self.job.pk}
        drops = {each.pk: EnrollmentCommand(Action.DROP, *each.key, reason=reason) for each in unlisted}
        self._lock([*drops.values()], context)
        kept_outcomes = {} if self.takes_over else self.scope.kept_by_source(unlisted)
        own = [each for each in unlisted if each.pk not in kept_outcomes]
        uncertain = {each.pk: number for each in own if (number := self.listed.ambiguous_row(each.key))}
        self.uncertain_rows.update(uncertain.values())
        outcomes = self._end_locked([drops[each.pk] for each in own if each.pk not in uncertain], context)
        for each in unlisted:
            row = self._synthetic_row(each)
            if each.pk in kept_outcomes:
                yield RowResult(row, kept_outcomes[each.pk], each.pk)
            elif each.pk in uncertain:
                note = _("Row %(row)s has an error and may refer to this enrollment.") % {"row": uncertain[each.pk]}
                yield RowResult(row, KEPT_UNCERTAIN, each.pk, note=note)
            else:
                outcome = outcomes.get(each.key)  # None if another transaction has ended the enrollment in the meantime
                refusals = outcome.refusals if outcome else ()
                code = ERROR if refusals else DROPPED if outcome and outcome.changed else UNCHANGED
                yield RowResult(row, code, each.pk, refusals)

    def notices(self) -> list[Refusal]:
        if not self.uncertain_rows:
            return []
        numbers = sorted(self.uncertain_rows)
        rows = ", ".join(map(str, numbers[:MAX_LISTED_ROWS])) + (", …" if len(numbers) > MAX_LISTED_ROWS else "")
        message = _(
            "Some enrollments that the file does not list were kept, because rows with errors may refer to "
            "them. Rows: %(rows)s."
        )
        return [Refusal(KEPT_UNCERTAIN, message % {"rows": rows})]

    def finish(self) -> None:
        if self.freed_courses:
            promote(self.freed_courses, actor=self.actor)

    def _synthetic_row(self, enrollment: StudentCourse) -> Row:
        """
        Return a row with the cells that a file would have for this enrollment.

        The row is in no file, so its number is 0.
        """
        course = enrollment.course
        cells = {
            "student_number": enrollment.student.student_number,
            "course_code": course.code,
            "term": course.term.code if course.term else "",
            "section": course.section,
        }
        return Row(0, [cells.get(name or "", "") for name in self.table_names], cells, is_synthetic=True)

    @cached_property
    def table_names(self) -> list[str | None]:
        """The field name of each column, in the order of the columns; None for a column without a field."""
        return self.table().names
