"""
The table of grades: the grades that exist, those that pass, and their order.

While the table is empty, a completion may have any grade and every completion passes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from courses.models import Course, Grade
from courses.prerequisite_items import minimum_grades
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
    replaced = dict(Grade.objects.filter(pk__in=replaced_ids).values_list("pk", "code"))
    rows = [*Grade.objects.exclude(pk__in=replaced_ids).values_list("code", "passes", "rank")]
    rows += [(changed.code, changed.passes, changed.rank)] if changed else []
    table = make_table(rows)
    refusals = []
    if rows and not any(row.passes for row in table.rows.values()):
        message = _("At least one grade of the table must pass.")
        refusals.append(Refusal("no_passing_grade", message, _("No grade passes"), "passes"))
    lost = {code for code in replaced.values() if not table.can_be_minimum(code)}
    for code in sorted(lost):
        courses = Course.objects.exclude(prerequisites=[]).select_related("term").order_by("pk") if lost else []
        keys = [course.full_code for course in courses if code in minimum_grades(course.prerequisites)]
        if keys:
            refusals.append(_in_use_refusal(code, keys, changed))
    return refusals


def _in_use_refusal(code: str, keys: list[str], changed: Grade | None) -> Refusal:
    shown = ", ".join(keys[:MAX_SHOWN]) + (", …" if len(keys) > MAX_SHOWN else "")
    message = _("%(grade)s is the minimum grade in the prerequisites of: %(courses)s. Change them first.")
    is_renamed = changed is None or changed.code != code
    field_name = "code" if is_renamed else "rank" if changed and changed.passes else "passes"
    parts = {"grade": code, "courses": shown}
    return Refusal("grade_in_use", message % parts, _("Grade is required by prerequisites"), field_name)
