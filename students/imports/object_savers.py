"""Savers of terms, students and courses that promote waitlisted students, for imports and for batches of the API."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from bulk.importers.object_saver import ObjectSaver
from courses.models import Course
from courses.object_savers import CourseSaver, TermSaver
from students.enrollment import (
    lock_to_deactivate,
    lock_waitlisted_courses,
    promote,
    promote_in_changed_courses,
    promote_in_terms,
)
from students.enrollment.actor_context import ActorContext
from students.models import Student
from students.seats import annotate_seats, get_seats


class StudentSaver(ObjectSaver):
    """Saves students. Those who are active again may get a free seat."""

    model = Student
    unique_field, unique_constraint = "email", "student_email_is_unique"
    row_constraints = ("student_has_a_name", "student_is_nobody_once_erased")
    actor: ActorContext

    def find_by_keys(self, keys: Collection[Any]) -> dict[Hashable, Any]:
        locked = self.lock_students(Student.objects.filter(student_number__in=keys))
        return {student.student_number: student for student in locked}

    def lock_students(self, students: QuerySet[Student], *, no_key: bool = True) -> QuerySet[Student]:
        """Return the students, locked in the order of their ids, after the courses in which they are waitlisted."""
        self.locked_courses = lock_waitlisted_courses(students.values_list("pk", flat=True))
        return students.select_for_update(no_key=no_key).order_by("pk")

    def before_save(self, instances: Sequence[Any]) -> None:
        lock_to_deactivate(student.pk for student in instances if not student.is_active)

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        promote(self.locked_courses, actor=self.actor)
        return {}


class TermWithWaitlistsSaver(TermSaver):
    """Saves terms. By a change, such as more credits, waitlisted students may get free seats."""

    actor: ActorContext

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        promote_in_terms([term.pk for term in instances], actor=self.actor)
        return {}


class CourseWithSeatsSaver(CourseSaver):
    """Saves courses. A change of a course may free seats, which are given to waitlisted students."""

    actor: ActorContext

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        course_ids = [course.pk for course in instances]
        promote_in_changed_courses(course_ids, actor=self.actor)
        courses = annotate_seats(Course.objects.filter(pk__in=course_ids))
        return {course.pk: warning.message for course in courses for warning in get_seats(course).warnings}
