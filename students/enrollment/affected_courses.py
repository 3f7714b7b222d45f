"""
Finds the courses in which waitlisted students may get a seat by a change that is not a command on an enrollment.

Such a change is one of a course, a term or the table of grades, or the undo of an import. The rules of a course may
read what a student has in other courses, so these are more than the changed courses.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db.models import Q, QuerySet

from courses.models import DEPENDENCE_FIELDS, Course, depends_on_other_courses
from courses.prerequisites import courses_requiring
from students.enrollment.other_courses import COUNTED_STATUSES
from students.models import StudentCourse

DEPENDENCE_COLUMNS = [each.attname for each in Course._meta.concrete_fields if each.name in DEPENDENCE_FIELDS]


def courses_with_qualifiable_students(student_ids: Iterable[int] | None = None) -> list[int]:
    """
    Return the ids of courses with prerequisites or corequisites on whose waitlists these students are; by default, any
    students.
    """
    waitlisted = StudentCourse.objects.waitlisted().exclude(course__prerequisites=[], course__corequisites=[])
    if student_ids is not None:
        waitlisted = waitlisted.filter(student__pk__any_of=list(student_ids))
    return _course_ids(waitlisted)


def waits_of(students: QuerySet[Any, Any]) -> list[int]:
    """Return the ids of the courses that depend on others, and for which one of these students waits."""
    waits = StudentCourse.objects.waitlisted().filter(student__in=students)
    return _course_ids(waits.filter(depends_on_other_courses("course__")))


def waits_of_students_in(course_ids: Collection[int]) -> list[int]:
    """
    Return the ids of the courses that depend on others, and for which a student waits who has one of these courses.

    Completed courses count, too, because of their credits.
    """
    held = StudentCourse.objects.filter(course__pk__any_of=course_ids, status__in=COUNTED_STATUSES)
    return waits_of(held.order_by().values("student"))


def courses_affected_by_terms(term_ids: Collection[int]) -> list[int]:
    """
    Return the ids of the courses with waitlists in these terms, and of those with meetings for which a student waits
    who has a course with meetings in these terms: its meetings take place on the days of its term.
    """
    held = StudentCourse.objects.enrolled().filter(course__term__in=term_ids).exclude(course__meetings=[])
    in_conflict = ~Q(course__meetings=[]) & Q(student__in=held.order_by().values("student"))
    return _course_ids(StudentCourse.objects.waitlisted().filter(Q(course__term__in=term_ids) | in_conflict))


def dependence_of(course: Course) -> dict[str, Any]:
    """Return the values of a course that rules about other courses read; take them before the course is changed."""
    return {name: getattr(course, name) for name in DEPENDENCE_COLUMNS}


def courses_affected_by_change(course: Course, before: Mapping[str, Any]) -> list[int]:
    """
    Return the ids of a changed course and of those in which students may get a seat by the change.

    ``before`` has the earlier values of the course, as ``dependence_of`` returns them; it is empty for a new course.
    """
    changed = {name for name, value in before.items() if value != getattr(course, name)}
    affected = [course.pk]
    if "code" in changed:
        affected += [each.pk for each in courses_requiring({course.code})]
    if changed & {"code", "term_id"}:  # it is no section of these courses any more
        sections = Course.objects.filter(code=before["code"], term=before["term_id"])
        affected += sections.order_by("pk").values_list("pk", flat=True)
    return [*affected, *waits_of_students_in([course.pk])] if changed else affected


def _course_ids(enrollments: QuerySet[StudentCourse]) -> list[int]:
    return list(enrollments.order_by("course").values_list("course", flat=True).distinct())
