"""
The importer for enrollment files.

A full file also ends the enrollments that it does not list.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy

from bulk.files.csv_reader import Column, Row, Table
from bulk.importers.base import FLAG_SET, Option, Source
from bulk.models import Import, Mode
from bulk.row_results import ERROR, UNCHANGED, RowResult
from courses.lookup import (
    CourseKey,
    course_not_found,
    courses_by_key,
    key_of,
    parse_course_key,
    term_not_found,
)
from courses.models import Course, Term
from school.access.row_scope import filter_by_scope, row_scope_of_account
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from school.text_normalization import normalized
from students.enrollment import adopt, execute
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext, EnrollmentKey
from students.enrollment.outcomes import Outcome
from students.imports.corequisite_rows import retry_corequisites
from students.imports.dependent_notes import dependent_notes
from students.imports.enrollment_undo import EnrollmentUndo
from students.imports.external_course_ids import SECTION_COLUMNS, SECTIONS, CourseResolver, check_classes
from students.imports.full_files import ENDING_ACTIONS, FullFileImporter
from students.imports.listed_rows import UNKNOWN_ID, ListedRow
from students.imports.role_filter import has_other_role, not_a_student
from students.imports.row_commands import RowCommand, parse_row_command
from students.lookup import student_ids_by_number, students_not_found
from students.models import Action, Status, Student, StudentCourse

MAX_CACHED_IDS = 200_000  # the maximum number of students whose ids are cached, at about 150 bytes each

COMMAND_COLUMNS = ("status", "grade", "reason", "waive", "instead_of")
OUTCOMES = {Action.ENROLL: "enrolled", Action.DROP: "dropped", Action.COMPLETE: "completed"}


def terms_to_choose(account_id: int | None) -> list[tuple[str, str]]:
    """Return the codes and names of the terms that a user may see: running and coming ones, then past ones."""
    terms = list(filter_by_scope(Term.objects.order_by("starts_on", "code"), row_scope_of_account(account_id)))
    today = timezone.localdate()
    coming = [term for term in terms if term.ends_on >= today]
    past = [term for term in reversed(terms) if term.ends_on < today]
    return [(term.code, f"{term.name} ({term.code})") for term in [*coming, *past]]


class EnrollmentImporter(FullFileImporter):
    """
    Imports an enrollment file.

    A row states the status that a student is to have in a course, and changes nothing if the student has that status
    already. Rows take effect in their order, so the earlier of two rows gets the last seat. The import of a full file
    first ends the enrollments that the file does not list, and those that its rows end. The seats that become free are
    given to the rows of the file first, and then to waitlisted students.
    """

    kind = "enrollments"
    file_names = ("enrollments",)
    roster_file = "enrollments"
    id_column = "enrollment_id"
    key_columns = ("student_number", "course_code", "term", "section")
    modes = (Mode.DELTA, Mode.FULL)
    options = (
        Option(
            "on_full",
            gettext_lazy("If no seat is free"),
            gettext_lazy(
                "reject (default): a full course is an error. waitlist: if the course is full, the student is "
                "waitlisted."
            ),
            tuple(OnFull),
        ),
        Option("term", gettext_lazy("Term"), gettext_lazy("The term of rows that have none."), offered=terms_to_choose),
        Option(
            "take_over",
            gettext_lazy("Take over"),
            gettext_lazy(
                "For a full file: take over enrollments from other datasets or manual changes. Listed ones are "
                "adopted, the others are ended."
            ),
            ("false", FLAG_SET),
            of_full=True,
        ),
    )
    lookup_columns = {SECTIONS: SECTION_COLUMNS}
    rights = {"may_waive": ("enrollments:waive", "students.waive_rules")}
    enforces_limits = True
    undo_importer = EnrollmentUndo
    columns = (
        Column("student_number", required=True, aliases=("user_id", "usersourcedid")),
        Column("course_code", required=True, aliases=("course_id", "classsourcedid")),
        Column("term", aliases=("term_id",)),
        Column("section"),
        Column("status"),
        Column("grade"),
        Column("reason"),
        Column("waive"),
        Column("instead_of"),
        Column("role"),
        Column("role_id"),
        Column("section_id"),
    )

    example = {
        "student_number": "S-1042",
        "course_code": "MATH-101",
        "term": "2026F",
        "status": "enrolled",
        "grade": "",
        "reason": "",
    }

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.on_full = OnFull(job.options.get("on_full") or OnFull.REJECT)
        self.term = normalized(job.options.get("term", ""))
        self.context = DecisionContext()
        self.courses: dict[CourseKey, Course] = {}  # the lookups of this transaction
        self.student_ids: dict[str, int] = {}  # the lookups of this transaction
        self.resolver: CourseResolver | None = None
        # A cache, because most rows have the same values.
        self.parse_command = lru_cache(maxsize=1_000)(parse_row_command)

    def table(self) -> Table:
        table = super().table()
        if self.file_name:
            check_classes(self, table)
        return table

    def resolve(self, rows: Sequence[Row], source: Source) -> None:
        assert isinstance(source, Table)
        if self.file_name:  # only in a zip can rows refer to other files
            self.resolver = self.resolver or CourseResolver(self, self.term)
            self.resolver.resolve([row for row in rows if not row.errors and not self.skip_reason(row)], source)

    def check(self) -> list[Refusal]:
        refusals = self.scope.check() if self.scope else []
        terms = filter_by_scope(Term.objects.all(), self.row_scope)
        if self.term and not terms.filter(code=self.term).exists():
            refusals.append(term_not_found(f"code:{self.term}", terms).with_field("term"))
        if self.takes_over and not self.scope:
            refusals.append(Refusal("invalid", _("take_over can only be used with a full file."), field="take_over"))
        return refusals

    def begin_transaction(self) -> None:
        # Within one transaction the courses stay locked, so their seat counts stay valid.
        self.context = DecisionContext(partial_rows=True, before_waitlist=self.freed_courses)
        # Clear the caches, because in the next transaction a code or a number may belong to another course or student.
        self.scope = self.current_scope()
        self.courses = {}
        self.student_ids = {}

    def skip_reason(self, row: Row) -> str:
        return not_a_student(row.cells)

    def row_keys(self, rows: Sequence[Row]) -> list[Hashable]:
        numbers = [row.cells["student_number"] for row in rows]
        course_keys = [self._course_key(row) for row in rows]
        self._cache_student_ids(numbers)
        unknown = set(numbers) - self.student_ids.keys()
        self.students_not_found = (
            students_not_found(unknown, filter_by_scope(Student.objects.all(), self.row_scope)) if unknown else {}
        )
        visible_courses = filter_by_scope(Course.objects.all(), self.row_scope)
        left_keys = {row.number: parse_course_key(cell) for row in rows if (cell := row.cells.get("instead_of"))}
        missing = {*course_keys, *left_keys.values()} - self.courses.keys()
        results = courses_by_key(missing, visible_courses)
        self.keys_of_wrong_terms = self._keys_of_wrong_terms(
            [key for key, result in results.items() if isinstance(result, Refusal) and key.term], visible_courses
        )
        self.courses |= {key: course for key, course in results.items() if isinstance(course, Course)}
        self.course_of = {
            row.number: _exact_course(row, self.courses.get(key) or results[key])
            for row, key in zip(rows, course_keys, strict=True)
        }
        self.course_left = {number: self.courses.get(key) or results[key] for number, key in left_keys.items()}
        # Keyed by the course id, since the code alone and the code with the term may name the same course.
        return [
            ("unresolved", row.number)
            if row.unresolved
            else (number, key if isinstance(course, Refusal) else course.id)
            for row, number, key, course in zip(rows, numbers, course_keys, self.course_of.values(), strict=True)
        ]

    def _keys_of_wrong_terms(self, refused: Collection[CourseKey], visible: QuerySet[Course]) -> set[CourseKey]:
        """Return the keys of which visible courses have the code and no visible term has the term."""
        if not refused:
            return set()
        codes = visible.filter(code__any_of=list({key.code for key in refused}))
        terms = filter_by_scope(Term.objects.filter(code__any_of=list({key.term for key in refused})), self.row_scope)
        known_codes, known_terms = (set(each.values_list("code", flat=True)) for each in (codes, terms))
        return {key for key in refused if key.code in known_codes and key.term not in known_terms}

    def _term_of(self, row: Row) -> str:
        return row.cells.get("term", "") or ("" if row.has_complete_key else self.term)

    def _course_key(self, row: Row) -> CourseKey:
        return CourseKey(row.cells["course_code"], self._term_of(row), row.cells.get("section", ""))

    def row_content(self, cells: Mapping[str, str]) -> str:
        """
        Return the change that a row asks for, in a normal form; empty for a plain enrollment.

        Two rows with the same content do not contradict each other: a student in several sections may have a row for
        each, and a status has several names.
        """
        command = self._command(cells)
        action = command.action or cells["status"].lower()
        left = cells.get("instead_of", "")
        values = (action, command.on_full, command.grade, command.reason, sorted(command.waived_codes), left)
        return "" if values == (Action.ENROLL, None, None, "", [], "") else repr(values)

    def _command(self, cells: Mapping[str, str]) -> RowCommand:
        return self.parse_command(*(cells.get(name, "") for name in COMMAND_COLUMNS))

    def _cache_student_ids(self, numbers: list[str]) -> None:
        """
        Look up the ids of uncached students.

        A file may name a student often, so up to ``MAX_CACHED_IDS`` ids are cached.
        """
        if len(self.student_ids) > MAX_CACHED_IDS:
            self.student_ids = {}
        self.student_ids |= student_ids_by_number(number for number in numbers if number not in self.student_ids)

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        parsed_rows = [self._parse_row(row) for row in rows]
        outcomes = execute(
            [parsed for parsed in parsed_rows if isinstance(parsed, EnrollmentCommand)], self.actor, self.context
        )
        ended = self._ended_beforehand(outcomes)
        adopted = self._adopt(outcomes)
        notes = dependent_notes(outcomes, self.context)
        if retry_corequisites(outcomes, self.actor):
            self.context = DecisionContext(partial_rows=True, before_waitlist=self.freed_courses)
        remaining = iter(outcomes)
        results = []
        for row, parsed in zip(rows, parsed_rows, strict=True):
            if not isinstance(parsed, EnrollmentCommand):
                results.append(RowResult(row, ERROR, errors=tuple(parsed)))
                continue
            outcome = next(remaining)
            if outcome.refusals:
                results.append(RowResult(row, ERROR, errors=outcome.refusals))
            elif outcome.command.key in ended:
                ended.remove(outcome.command.key)  # a later row that asks for the same end has changed nothing
                results.append(_row_result(row, outcome._replace(changed=True)))
            elif not outcome.changed and outcome.command.key in adopted:
                results.append(RowResult(row, "adopted", adopted.pop(outcome.command.key).pk))
            else:
                note = notes.get(outcome.command.key, "") if outcome.changed else ""
                results.append(replace(_row_result(row, outcome), note=note) if note else _row_result(row, outcome))
        return results

    def _ended_beforehand(self, outcomes: Collection[Outcome]) -> set[EnrollmentKey]:
        """Return the keys of unchanged rows whose enrollment this full import ended before its rows were applied."""
        unchanged = [
            each for each in outcomes if not each.changed and each.accepted and each.command.action in ENDING_ACTIONS
        ]
        if not self.scope or not unchanged:
            return set()
        enrollments = [each.enrollment for each in unchanged if each.enrollment]
        ends = self._own_ends().filter(enrollment__in=enrollments)
        return set(ends.values_list("enrollment__student", "enrollment__course"))

    def _adopt(self, outcomes: Collection[Outcome]) -> dict[EnrollmentKey, StudentCourse]:
        """
        With the option ``take_over``, adopt the open enrollments that the file lists and does not change: they then
        belong to its dataset.
        """
        if not self.scope or not self.takes_over:
            return {}
        unchanged = [each.enrollment for each in outcomes if each.accepted and not each.changed and each.enrollment]
        listed = {each.key: each for each in unchanged if each.is_open}
        of_others = self.scope.kept_by_source(listed.values())
        adopted = {key: each for key, each in listed.items() if each.pk in of_others}
        adopt(adopted.values(), self.actor)
        return adopted

    def _parse_row(self, row: Row) -> EnrollmentCommand | list[Refusal]:
        """Return the command that the row asks for, or every reason why the row is not valid."""
        errors: list[Refusal] = []
        number = row.cells["student_number"]
        if not number:
            errors.append(Refusal("blank", _("This row has no student."), field="student_number"))
        elif number not in self.student_ids:
            errors.append(self.students_not_found[number].with_field("student_number"))
        course = self.course_of[row.number]
        if row.unresolved:
            errors += row.unresolved
        elif not row.cells["course_code"]:
            section = row.cells.get("section_id", "")
            message = _("This row has only the section %(section)s. Add its course.") % {"section": section}
            errors.append(Refusal("blank", message if section else _("This row has no course."), field="course_code"))
        elif isinstance(course, Refusal):
            is_wrong_term = self._course_key(row) in self.keys_of_wrong_terms
            errors.append(course.with_field(course.field or ("term" if is_wrong_term else "course_code")))
        elif self.scope and not self.scope.has(course):
            errors.append(_out_of_scope(course, "course_code"))
        left = self.course_left.get(row.number)
        if isinstance(left, Refusal):
            errors.append(left.with_field("instead_of"))
        elif left and self.scope and not self.scope.has(left):
            errors.append(_out_of_scope(left, "instead_of"))
        command = self._command(row.cells)
        errors += command.errors
        if errors or command.action is None or isinstance(course, Refusal) or isinstance(left, Refusal):
            return errors
        waived_codes, instead_of = command.waived_codes, left.pk if left else None
        request = EnrollmentCommand(command.action, self.student_ids[number], course.id, command.grade, command.reason)
        on_full = command.on_full or self.on_full
        return request._replace(on_full=on_full, waived_codes=waived_codes, instead_of=instead_of)

    def close(self) -> None:
        if self.resolver:
            self.resolver.close()
        super().close()

    def record_listed(self, rows: Sequence[Row]) -> None:
        # Ignore the row of a teacher, which is not about an enrollment. An unknown role may be that of a student.
        readable = [row for row in rows if not row.errors and not has_other_role(row.cells)]
        self.row_keys(readable)
        # The cells of an unreadable row may be in the wrong columns, so the row may be about any student and course.
        unreadable = [ListedRow(UNKNOWN_ID, UNKNOWN_ID, row.number) for row in rows if row.errors]
        # The row of a swap lists the course that the student leaves, too: it is not ended before the row is applied.
        left = [
            ListedRow(self.student_ids.get(row.cells["student_number"], UNKNOWN_ID), course.pk, row.number)
            for row in readable
            if isinstance(course := self.course_left.get(row.number), Course)
        ]
        self.listed.add([*unreadable, *map(self._listed_row, readable), *left])

    def _listed_row(self, row: Row) -> ListedRow:
        """
        Return the student and course that a row lists.

        A student is listed even if other cells of the row are wrong.
        """
        student_id = self.student_ids.get(row.cells["student_number"], UNKNOWN_ID)
        course = self.course_of[row.number]
        is_in_scope = isinstance(course, Course) and self.scope is not None and self.scope.has(course)
        course_id = course.pk if isinstance(course, Course) and is_in_scope else UNKNOWN_ID
        command = self._parse_row(row)
        if not isinstance(command, EnrollmentCommand) or command.action not in ENDING_ACTIONS or command.waived_codes:
            return ListedRow(student_id, course_id, row.number)
        return ListedRow(student_id, course_id, row.number, command.action, command.grade, command.reason)


def _out_of_scope(course: Course, field: str) -> Refusal:
    message = _("%(course)s is not in the scope of this import.") % {"course": course.full_code}
    return Refusal("out_of_scope", message, field=field)


def _exact_course(row: Row, course: Course | Refusal) -> Course | Refusal:
    """
    Return the course, or a refusal if the row is exact and the course has another term or section than the row.

    An exact row without a term means only the course without a term, and one without a section only the section
    without a name.
    """
    if not row.has_complete_key or isinstance(course, Refusal):
        return course
    key = CourseKey(*(row.cells[name] for name in ("course_code", "term", "section")))
    return course if key_of(course) == key else course_not_found(f"code:{key}")


def _row_result(row: Row, outcome: Outcome) -> RowResult:
    """Return the result of an accepted row. For a waitlisted student it includes the waitlist position."""
    enrollment = outcome.enrollment
    assert enrollment is not None  # an accepted command has an enrollment
    if not outcome.changed:
        return RowResult(row, UNCHANGED, enrollment.id)
    if outcome.command.action == Action.ENROLL and enrollment.status == Status.WAITLISTED:
        if not outcome.created:  # the wish for a swap was added; reading the position would cost a query
            return RowResult(row, "waitlisted", enrollment.pk)
        note = _("Waitlist position %(position)s.") % {"position": enrollment.waitlist_position}
        return RowResult(row, "waitlisted", enrollment.pk, note=note)
    return RowResult(row, OUTCOMES[outcome.command.action], enrollment.pk)
