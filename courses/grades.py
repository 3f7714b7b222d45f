"""
The table of grades: the grades that exist, those that pass, and their order.

While the table is empty, a completion may have any grade and every completion passes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.core.exceptions import ValidationError

from courses.models import Course, Grade
from courses.prerequisite_items import minimum_grades
from school.i18n.stored_messages import message_of
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

MAX_SHOWN = 10  # the maximum number of courses that one message names
MAX_SHOWN_GRADES = 20  # the maximum number of grades that one message names


class GradeRow(NamedTuple):
    """Whether a grade passes, and its rank: a higher rank is a better grade."""

    passes: bool
    rank: int | None


@dataclass(frozen=True, slots=True)
class GradeTable:
    """The grades by their codes. An empty table is false."""

    rows: Mapping[str, GradeRow] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def has(self, grade: str) -> bool:
        """Return True if a completion may have this grade: no grade, one of the table, or any while it is empty."""
        return not grade or not self.rows or grade in self.rows

    def passes(self, grade: str, minimum: str = "") -> bool:
        """
        Return True if a completion with this grade passes, and the grade is at least ``minimum`` if that is not empty.

        A completion without a grade passes, but is not known to reach a minimum. A grade that is not in the table does
        not pass.
        """
        if not self.rows or (not grade and not minimum):
            return True
        row, least = self.rows.get(grade), self.rows.get(minimum)
        if row is None or not row.passes:
            return False
        if not minimum:
            return True
        return least is not None and None not in (row.rank, least.rank) and row.rank >= least.rank  # type: ignore[operator]

    def can_be_minimum(self, grade: str) -> bool:
        """Return True if prerequisites can require this grade: it passes and has a rank."""
        row = self.rows.get(grade)
        return row is not None and row.passes and row.rank is not None


def make_table(rows: Iterable[tuple[str, bool, int | None]]) -> GradeTable:
    """Return the table of rows of codes, passes and ranks."""
    return GradeTable({code: GradeRow(passes, rank) for code, passes, rank in rows})


def load_table() -> GradeTable:
    return make_table(Grade.objects.values_list("code", "passes", "rank"))


def unknown_grade_message(grade: str, table: GradeTable) -> str:
    """Return the message about a grade that is not in the table."""
    codes = [*table.rows]
    shown = ", ".join(codes[:MAX_SHOWN_GRADES]) + (", …" if len(codes) > MAX_SHOWN_GRADES else "")
    return _("%(grade)s is not in the table of grades. Grades: %(grades)s.") % {"grade": grade, "grades": shown}


def minimum_grade_refusals(grades: Collection[str], table: GradeTable) -> list[Refusal]:
    """Return a refusal for each grade that prerequisites cannot require."""
    refusals = []
    for grade in sorted(grades):
        if grade not in table.rows:
            message = _("%(grade)s is not in the table of grades.") % {"grade": grade}
            refusals.append(Refusal("unknown_grade", message, field="prerequisites"))
        elif not table.can_be_minimum(grade):
            message = _("%(grade)s cannot be a minimum: it does not pass or has no rank.") % {"grade": grade}
            refusals.append(Refusal("invalid", message, field="prerequisites"))
    return refusals


def table_refusals(changed: Grade | None, replaced_ids: Collection[int]) -> list[Refusal]:
    """
    Return why the table cannot become the present one without the grades ``replaced_ids`` and with ``changed``.

    Of a table that is not empty, one grade must pass. A grade that prerequisites require must stay, pass and have a
    rank. The caller has locked the prerequisites.
    """
    codes = Grade.objects.filter(pk__in=replaced_ids).values_list("code", flat=True)
    rows = [*Grade.objects.exclude(pk__in=replaced_ids).values_list("code", "passes", "rank")]
    rows += [(changed.code, changed.passes, changed.rank)] if changed else []
    table = make_table(rows)
    refusals = [] if _has_passing_grade(table) else [_no_passing_grade_refusal()]
    in_use = _courses_by_lost_minimum(codes, table)
    return refusals + [_in_use_refusal(code, in_use[code], changed) for code in sorted(in_use)]


def refusals_of_changes(changed: Sequence[Grade]) -> dict[int, list[Refusal]]:
    """
    Return why the table cannot have these new and changed grades together, by ``id()`` of the grade.

    The codes of stored grades do not change. The caller has locked the prerequisites.
    """
    others = Grade.objects.exclude(code__in=[grade.code for grade in changed]).values_list("code", "passes", "rank")
    table = make_table([*others, *((grade.code, grade.passes, grade.rank) for grade in changed)])
    in_use = _courses_by_lost_minimum([grade.code for grade in changed if grade.pk], table)
    failing = [grade for grade in changed if not grade.passes] if not _has_passing_grade(table) else []
    passed = set(
        Grade.objects.filter(passes=True, code__in=[each.code for each in failing]).values_list("code", flat=True)
    )
    taken = {rank for _code, _passes, rank in others if rank is not None}
    refused: dict[int, list[Refusal]] = {}
    for grade in changed:
        found = [_rank_refusal()] if grade.rank in taken else []
        if grade in failing and (grade.code in passed or not passed):
            found.append(_no_passing_grade_refusal())
        if grade.code in in_use:
            found.append(_in_use_refusal(grade.code, in_use[grade.code], grade))
        if found:
            refused[id(grade)] = found
        elif grade.rank is not None:
            taken.add(grade.rank)
    return refused


def _has_passing_grade(table: GradeTable) -> bool:
    return not table or any(row.passes for row in table.rows.values())


def _no_passing_grade_refusal() -> Refusal:
    message = _("At least one grade of the table must pass.")
    return Refusal("no_passing_grade", message, _("No grade passes"), "passes")


def _rank_refusal() -> Refusal:
    [constraint] = [each for each in Grade._meta.constraints if each.name == "grade_rank_is_unique"]
    error = ValidationError(constraint.violation_error_message or "")
    return Refusal(str(constraint.violation_error_code), message_of(error), field="rank")


def _courses_by_lost_minimum(codes: Iterable[str], table: GradeTable) -> dict[str, list[str]]:
    """Return the keys of the courses whose prerequisites require one of the grades, which cannot be a minimum."""
    lost = {code for code in codes if not table.can_be_minimum(code)}
    found: dict[str, list[str]] = {}
    if lost:
        for course in Course.objects.exclude(prerequisites=[]).select_related("term").order_by("pk"):
            for code in lost & minimum_grades(course.prerequisites):
                found.setdefault(code, []).append(course.full_code)
    return found


def _in_use_refusal(code: str, keys: list[str], changed: Grade | None) -> Refusal:
    shown = ", ".join(keys[:MAX_SHOWN]) + (", …" if len(keys) > MAX_SHOWN else "")
    message = _("%(grade)s is the minimum grade in the prerequisites of: %(courses)s. Change them first.")
    is_renamed = changed is None or changed.code != code
    field_name = "code" if is_renamed else "rank" if changed and changed.passes else "passes"
    parts = {"grade": code, "courses": shown}
    return Refusal("grade_in_use", message % parts, _("Grade is required by prerequisites"), field_name)
