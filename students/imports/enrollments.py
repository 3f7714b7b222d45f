"""The columns of the enrollment file, and what a full file no longer lists."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bulk.importing import DROPPED, ERROR, Importer, Option, RowResult
from bulk.models import Import, Mode
from bulk.reading import Column, Row
from courses.lookup import CourseKey, courses_by_key
from courses.models import Course, Term
from school.limits import within
from school.refusals import Refusal
from students.acts import Act, OnFull, Outcome
from students.enrollment import perform
from students.facts import lock_and_read
from students.imports.origin import origin_of
from students.imports.scope import Scope, changed_by_hand
from students.imports.undo import EnrollmentUndo
from students.lookup import student_ids_by_number, student_not_found
from students.models import Action, Status, StudentCourse
from students.register import Register
from students.rules import objections_to_waiver

KNOWN = 200_000  # students whose ids are kept, some 150 bytes each

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


class Wish(NamedTuple):
    """What a row asks for, whoever and whatever it is about. ``on_full`` None leaves that to the import."""

    action: Action | None
    grade: str | None
    reason: str
    on_full: OnFull | None
    waive: frozenset[str]
    errors: Sequence[Refusal]


OUTCOMES = {Action.ENROLL: "enrolled", Action.DROP: "dropped", Action.COMPLETE: "completed"}


class EnrollmentImporter(Importer):
    """
    A file of desired states: a row says how a student stands in a course, and what is so already is left alone.

    Rows take effect in their order, so an earlier row gets the last seat.
    """

    kind = "enrollments"
    file_names = ("enrollments",)
    id_column = "enrollment_id"
    key_columns = ("student_number", "course_code", "term")
    modes = (Mode.DELTA, Mode.FULL)
    options = (
        Option(
            "on_full",
            gettext_lazy("reject (default): a full course is an error. waitlist: who finds no seat waits for one."),
            tuple(OnFull),
        ),
        Option("term", gettext_lazy("The term of rows that name none.")),
    )
    rights = {"may_waive": ("enrollments:waive", "students.waive_rules")}
    keeps_limits = True
    undoer = EnrollmentUndo
    columns = (
        Column("student_number", required=True, aliases=("user_id", "usersourcedid")),
        Column("course_code", required=True, aliases=("course_id", "classsourcedid")),
        Column("term", aliases=("term_id",)),
        Column("status"),
        Column("grade"),
        Column("reason"),
        Column("waive"),
    )

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.origin = origin_of(job)
        self.on_full = OnFull(job.options.get("on_full") or OnFull.REJECT)
        self.term = job.options.get("term", "")
        self.scope = Scope(job.scope, job.dataset, self.limits) if job.mode == Mode.FULL else None
        self.register = Register()
        self.courses: dict[tuple[str, str], Course] = {}  # those found so far
        self.student_ids: dict[str, int] = {}  # those asked for in this transaction
        self.read_wish = lru_cache(maxsize=1_000)(_read_wish)  # most rows ask for the same

    def check(self) -> list[Refusal]:
        refusals = self.scope.check() if self.scope else []
        if self.term and not within(Term.objects.all(), self.limits).filter(code=self.term).exists():
            message = _("There is no term %(term)s.") % {"term": self.term}
            refusals.append(Refusal("term_not_found", message, field="term"))
        return refusals

    def begin(self) -> None:
        self.register = Register(in_brief=True)  # within one transaction courses stay locked, and their seats counted
        self.student_ids = {}

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        numbers = [row.cells["student_number"] for row in rows]
        course_codes = [row.cells["course_code"] for row in rows]
        course_keys = list(zip(course_codes, [row.cells.get("term", "") or self.term for row in rows], strict=True))
        self._look_up(numbers)
        courses_there = within(Course.objects.all(), self.limits)
        missing = [CourseKey(*key) for key in set(course_keys) - self.courses.keys()]
        found: dict[Any, Course | Refusal] = courses_by_key(missing, courses_there)
        self.courses |= {key: course for key, course in found.items() if isinstance(course, Course)}
        self.course_of = {
            row.number: self.courses.get(key) or found[key] for row, key in zip(rows, course_keys, strict=True)
        }
        # By the course itself: its code alone and its code with the term may name the same one.
        return [
            (number, key if isinstance(course, Refusal) else course.id)
            for number, key, course in zip(numbers, course_keys, self.course_of.values(), strict=True)
        ]

    def _look_up(self, numbers: list[str]) -> None:
        """Look up who is not known yet. A file names a student for each course: who is known is kept, up to a bound."""
        if len(self.student_ids) > KNOWN:
            self.student_ids = {}
        self.student_ids |= student_ids_by_number(number for number in numbers if number not in self.student_ids)

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
        course = self.course_of[row.number]
        if isinstance(course, Refusal):
            errors.append(course.at(course.field or "course_code"))
        elif self.scope and not self.scope.has(course):
            message = _("%(course)s is not in the scope of this import.") % {"course": course.key}
            errors.append(Refusal("out_of_scope", message, field="course_code"))
        cells = row.cells
        wish = self.read_wish(
            cells.get("status", ""), cells.get("grade", ""), cells.get("reason", ""), cells.get("waive", "")
        )
        errors += wish.errors
        if errors or wish.action is None or isinstance(course, Refusal):
            return errors
        on_full = wish.on_full or self.on_full
        return Act(wish.action, self.student_ids[number], course.id, wish.grade, wish.reason, on_full, wish.waive)

    def size_of_scope(self) -> int:
        return self.scope.enrollments().count() if self.scope else 0

    def end_unlisted(self, is_listed: Callable[[Hashable], bool]) -> Iterator[list[RowResult]]:
        assert self.scope is not None  # only a full import ends what is not listed
        for enrollments in self.scope.chunks():
            unlisted = [e for e in enrollments if not is_listed((e.student.student_number, e.course_id))]
            yield [*self._end(unlisted)]

    def _end(self, unlisted: Sequence[StudentCourse]) -> Iterator[RowResult]:
        """Drop enrollments, but for those that somebody has changed by hand."""
        reason = _("Not in the full file of import %(id)s any more.") % {"id": self.job.pk}
        acts = [Act(Action.DROP, each.student_id, each.course_id, reason=reason) for each in unlisted]
        lock_and_read(acts, self.register, self.origin)  # from here on nobody else changes them
        by_hand = changed_by_hand(unlisted)
        going = [act for act, each in zip(acts, unlisted, strict=True) if each.pk not in by_hand]
        outcomes = iter(perform(going, self.origin, self.register))
        for each in unlisted:
            row = self._made_row(each)
            if each.pk in by_hand:
                yield RowResult(row, "kept_manual", each.pk)
                continue
            outcome = next(outcomes)
            told = ERROR if outcome.refusals else DROPPED if outcome.changed else "unchanged"
            yield RowResult(row, told, each.pk, outcome.refusals)

    def _made_row(self, enrollment: StudentCourse) -> Row:
        """Return an enrollment as a row of the file would name it. It has no number: it stands in none."""
        course = enrollment.course
        cells = {
            "student_number": enrollment.student.student_number,
            "course_code": course.code,
            "term": course.term.code if course.term else "",
        }
        return Row(0, [cells.get(name or "", "") for name in self.table_names()], cells, is_made=True)

    def table_names(self) -> list[str | None]:
        """Return what the columns of the file mean, in their order."""
        if not hasattr(self, "_names"):
            self._names = self.table().names
        return self._names


def _told(row: Row, outcome: Outcome) -> RowResult:
    """Return what became of an accepted row. Who waits is told their place in line."""
    enrollment = outcome.enrollment
    assert enrollment is not None  # an accepted act has one
    if not outcome.changed:
        return RowResult(row, "unchanged", enrollment.id)
    if outcome.act.action == Action.ENROLL and enrollment.status == Status.WAITLISTED:
        note = _("Place %(position)s in line.") % {"position": enrollment.waitlist_position}
        return RowResult(row, "waitlisted", enrollment.pk, note=note)
    return RowResult(row, OUTCOMES[outcome.act.action], enrollment.pk)


def _read_wish(status: str, grade: str, reason: str, waive: str) -> Wish:
    """Read the cells that say what is wanted, and every reason why they cannot be."""
    errors: list[Refusal] = []
    status = status.lower()
    action = WISHES.get(status)
    if action is None:
        choices = ", ".join([Status.ENROLLED, Status.WAITLISTED, Status.DROPPED, Status.COMPLETED])
        message = _("%(status)s is none of: %(choices)s.") % {"status": status, "choices": choices}
        errors.append(Refusal("invalid_choice", message, field="status"))
    waived = frozenset(waive.split())
    if waived:  # whether this one may is no matter of the file
        errors += objections_to_waiver(waived, reason, may_waive=True)
    if grade and action not in (None, Action.COMPLETE):
        errors.append(Refusal("invalid", _("Only a completed enrollment has a grade."), field="grade"))
    for name, value, most in (("grade", grade, 32), ("reason", reason, 1000)):
        if len(value) > most:
            message = _("This has more than %(most)s characters.") % {"most": most}
            errors.append(Refusal("max_length", message, field=name))
    return Wish(action, grade or None, reason, OnFull.WAITLIST if status == Status.WAITLISTED else None, waived, errors)
