"""
Finds the open enrollments whose prerequisites or corequisites a change no longer meets.

A worse grade, or the end of a corequisite, changes no other enrollment. The preview says how many open enrollments
depend on it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from courses.grades import GradeTable, load_table
from courses.models import Course
from courses.prerequisite_items import Item, all_codes, codes_of, is_met
from students.enrollment.decision_context import EnrollmentKey
from students.models import LEFT_STATUSES, OPEN_STATUSES, EnrollmentEvent, Status, StudentCourse

# The grades of a student's completions: by the student's id and the code of the course.
Completions = dict[tuple[int, str], list[str]]
# Students with the code and the term of a course that they take now.
Taken = set[tuple[int, str, int | None]]


def lost_prerequisites(
    changes: Iterable[tuple[EnrollmentEvent, StudentCourse]], grades: GradeTable | None
) -> dict[EnrollmentKey, set[int]]:
    """
    Return the ids of the open enrollments that lose a prerequisite or a corequisite by each changed grade, by the
    changed enrollment.

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
    open_rows = StudentCourse.objects.open().filter(student__pk__any_of=students)
    open_rows = open_rows.exclude(course__prerequisites=[], course__corequisites=[])
    dependents: dict[int, list[StudentCourse]] = defaultdict(list)
    for row in open_rows.select_related("course").order_by("pk"):
        dependents[row.student_id].append(row)
    courses = [row.course for rows in dependents.values() for row in rows]
    corequisites = {code for course in courses for code in course.corequisites}
    codes = all_codes(item for course in courses for item in (*course.prerequisites, *course.corequisites))
    corrected_courses = {enrollment.course_id for enrollment, _before, _after in corrected.values()}
    code_of = dict(Course.objects.filter(pk__in=corrected_courses).values_list("pk", "code"))
    before, after = _completions(students, codes, corrected)
    taken = _taken(students, corequisites)

    def is_lost(student_id: int, item: Item) -> bool:
        return _meets(student_id, item, before, table) and not _meets(student_id, item, after, table)

    return {
        enrollment.key: {
            row.pk
            for row in dependents[enrollment.student_id]
            for item in _items_met_by_grades(row, taken)
            if code_of[enrollment.course_id] in codes_of(item) and is_lost(row.student_id, item)
        }
        for enrollment, _before, _after in corrected.values()
    }


def lost_corequisites(
    changes: Iterable[tuple[EnrollmentEvent, StudentCourse]], courses: Mapping[int, Course], grades: GradeTable | None
) -> dict[EnrollmentKey, set[int]]:
    """
    Return the ids of the open enrollments that lose a corequisite by each enrollment that its student leaves, by the
    left one.

    ``changes`` are journal entries with their enrollments, saved or not, and ``courses`` has the courses of these. A
    corequisite that the student has passed before, or takes in another section, is not lost. There is no query if
    nobody leaves a seat, and only one if no course of these students requires one that they leave.
    """
    rows: dict[EnrollmentKey, StudentCourse] = {}
    left_keys: set[EnrollmentKey] = set()
    for event, row in changes:
        rows[row.key] = row
        if event.from_status == Status.ENROLLED and event.to_status in LEFT_STATUSES:
            left_keys.add(row.key)
    left = [rows[key] for key in left_keys if rows[key].status in LEFT_STATUSES]
    if not left:
        return {}
    dependents = _requiring(left, courses, {row.pk for row in rows.values() if row.status not in OPEN_STATUSES})
    if not dependents:
        return {}
    codes = {courses[row.course_id].code for row in left}
    students = {row.student_id for found in dependents.values() for row in found}
    ended = {row.pk for row in rows.values() if row.status != Status.ENROLLED}
    taken = _taken(students, codes, ended)
    for row in rows.values():
        if row.status == Status.ENROLLED:
            taken.add((row.student_id, courses[row.course_id].code, courses[row.course_id].term_id))
    completions, _after = _completions(students, codes, {})
    table = (load_table() if grades is None else grades) if completions else GradeTable()

    def is_lost(row: StudentCourse, code: str) -> bool:
        is_taken = (row.student_id, code, row.course.term_id) in taken
        return not is_taken and not _meets(row.student_id, code, completions, table)

    lost = {key: {row.pk for row in found if is_lost(row, courses[key[1]].code)} for key, found in dependents.items()}
    return {key: ids for key, ids in lost.items() if ids}


def _items_met_by_grades(row: StudentCourse, taken: Taken) -> Iterator[Item]:
    """Yield the requirements of an enrollment, without the corequisites that the student takes in the same term."""
    yield from row.course.prerequisites
    for code in row.course.corequisites:
        if (row.student_id, code, row.course.term_id) not in taken:
            yield code


def _requiring(
    left: Iterable[StudentCourse], courses: Mapping[int, Course], ended: Collection[int]
) -> dict[EnrollmentKey, list[StudentCourse]]:
    """Return, by each left enrollment, those in courses that require it in its term, without the ended ones."""
    rows = StudentCourse.objects.enrolled().filter(student__pk__any_of={row.student_id for row in left})
    rows = rows.exclude(pk__in=[pk for pk in ended if pk]).exclude(course__corequisites=[])
    by_student: dict[int, list[StudentCourse]] = defaultdict(list)
    for row in rows.select_related("course").order_by("pk"):
        by_student[row.student_id].append(row)
    found = {}
    for row in left:
        course = courses[row.course_id]
        requiring = [each for each in by_student[row.student_id] if _requires(each.course, course)]
        if requiring:
            found[row.key] = requiring
    return found


def _requires(course: Course, other: Course) -> bool:
    return other.code in course.corequisites and other.term_id == course.term_id


def _taken(students: Collection[int], codes: Collection[str], ended: Collection[int] = ()) -> Taken:
    """Return the courses with these codes that students take, without ended enrollments; no query without codes."""
    if not codes:
        return set()
    rows = StudentCourse.objects.enrolled().filter(student__pk__any_of=students, course__code__any_of=list(codes))
    values = rows.order_by().values_list("pk", "student", "course__code", "course__term")
    return {(student, code, term) for pk, student, code, term in values if pk not in ended}


def _completions(
    students: Collection[int], codes: Collection[str], corrected: dict[int, tuple[StudentCourse, str, str]]
) -> tuple[Completions, Completions]:
    """Return the completions of the students before and after the corrections, which may be saved already."""
    before: Completions = defaultdict(list)
    after: Completions = defaultdict(list)
    rows = StudentCourse.objects.completed().filter(student__pk__any_of=students, course__code__any_of=list(codes))
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
