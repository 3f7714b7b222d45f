"""
Finds the open enrollments whose prerequisites or corequisites a change no longer meets.

A worse grade changes no other enrollment. The preview says how many open enrollments depend on the grade.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

from courses.grades import GradeTable, load_table
from courses.models import Course
from courses.prerequisite_items import Item, all_codes, codes_of, is_met
from students.enrollment.decision_context import EnrollmentKey
from students.models import EnrollmentEvent, Status, StudentCourse

# The grades of a student's completions: by the student's id and the code of the course.
Completions = dict[tuple[int, str], list[str]]


def lost_prerequisites(
    changes: Iterable[tuple[EnrollmentEvent, StudentCourse]], grades: GradeTable | None
) -> dict[EnrollmentKey, set[int]]:
    """
    Return the ids of the open enrollments that lose a prerequisite by each changed grade, by the changed enrollment.

    ``changes`` are journal entries with their enrollments, saved or not. Entries that change no grade of a completed
    enrollment are ignored; if all are, or if there is no table of grades, there is no query for enrollments.
    """
    corrected = {
        enrollment.pk: (enrollment, *event.changes["grade"])
        for event, enrollment in changes
        if event.from_status == event.to_status == Status.COMPLETED and "grade" in event.changes
    }
    table = (load_table() if grades is None else grades) if corrected else None
    if not table:
        return {}
    students = {enrollment.student_id for enrollment, _before, _after in corrected.values()}
    open_rows = StudentCourse.objects.open().filter(student__pk__any_of=students).exclude(course__prerequisites=[])
    dependents: dict[int, list[StudentCourse]] = defaultdict(list)
    for row in open_rows.select_related("course").order_by("pk"):
        dependents[row.student_id].append(row)
    codes = all_codes(item for rows in dependents.values() for row in rows for item in row.course.prerequisites)
    courses = Course.objects.filter(pk__in={enrollment.course_id for enrollment, _before, _after in corrected.values()})
    code_of = dict(courses.values_list("pk", "code"))
    before, after = _completions(students, codes, corrected)

    def is_lost(student_id: int, item: Item) -> bool:
        return _meets(student_id, item, before, table) and not _meets(student_id, item, after, table)

    return {
        enrollment.key: {
            row.pk
            for row in dependents[enrollment.student_id]
            for item in row.course.prerequisites
            if code_of[enrollment.course_id] in codes_of(item) and is_lost(row.student_id, item)
        }
        for enrollment, _before, _after in corrected.values()
    }


def lost_corequisites(left: Collection[StudentCourse]) -> frozenset[int]:
    """
    Return the ids of the students' enrollments in courses that require one of the left courses in its term.

    ``left`` are enrollments that end, in memory or saved; what also ends is not counted. No query if none ends.
    """
    if not left:
        return frozenset()
    rows = StudentCourse.objects.enrolled().filter(student__pk__any_of={row.student_id for row in left})
    rows = rows.exclude(pk__in=[row.pk for row in left]).exclude(course__corequisites=[])
    by_student: dict[int, list[StudentCourse]] = defaultdict(list)
    for row in rows.select_related("course").order_by("pk"):
        by_student[row.student_id].append(row)
    return frozenset(
        row.pk
        for ended in left
        for row in by_student[ended.student_id]
        if ended.course.code in row.course.corequisites and ended.course.term_id == row.course.term_id
    )


def _completions(
    students: set[int], codes: list[str], corrected: dict[int, tuple[StudentCourse, str, str]]
) -> tuple[Completions, Completions]:
    """Return the completions of the students before and after the corrections, which may be saved already."""
    before: Completions = defaultdict(list)
    after: Completions = defaultdict(list)
    rows = StudentCourse.objects.completed().filter(student__pk__any_of=students, course__code__any_of=codes)
    for pk, student_id, code, grade in rows.order_by("pk").values_list("pk", "student", "course__code", "grade"):
        _enrollment, old, new = corrected.get(pk, (None, grade, grade))
        before[student_id, code].append(old)
        after[student_id, code].append(new)
    return before, after


def _meets(student_id: int, item: Item, completions: Completions, table: GradeTable) -> bool:
    return is_met(
        item,
        lambda code, minimum: any(table.passes(grade, minimum) for grade in completions.get((student_id, code), ())),
    )
