"""The courses and credits that students have, for the rules that read more than the course of a command."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from courses.models import Course
from students.models import Status

COUNTED_STATUSES = (Status.ENROLLED, Status.COMPLETED)


@dataclass
class OtherCourses:
    """
    The courses and credits of students, updated with each decision.

    It has only students of courses with ``Course.depends_on_other_courses``. ``max_credits`` maps a student id to the
    student's own maximum, ``enrolled`` to the courses in which the student has a seat, by their ids, ``waitlisted`` to
    those in which the student waits. ``credits`` has
    the credits of a student in a term: those of enrolled and completed courses, by the ids of student and term.
    """

    max_credits: Mapping[int, Decimal | None] = field(default_factory=dict)
    enrolled: dict[int, dict[int, Course]] = field(default_factory=lambda: defaultdict(dict))
    waitlisted: dict[int, dict[int, Course]] = field(default_factory=lambda: defaultdict(dict))
    credits: dict[tuple[int, int | None], Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def maximum(self, student_id: int, course: Course) -> Decimal | None:
        """Return the credits that the student may take in the term of the course; None if there is no limit."""
        if course.term is None:
            return None
        own = self.max_credits.get(student_id)
        return course.term.max_credits if own is None else own

    def taken(self, student_id: int, course: Course) -> Decimal:
        """Return the credits that the student has in the term of the course."""
        return self.credits[student_id, course.term_id]

    def other_section(self, student_id: int, course: Course) -> Course | None:
        """Return another section of the course, in the same term, in which the student is enrolled or waitlisted."""
        courses = {**self.enrolled[student_id], **self.waitlisted[student_id]}
        for other in courses.values():
            if (other.code, other.term_id) == (course.code, course.term_id) and other.pk != course.pk:
                return other
        return None

    def apply_change(self, student_id: int, course: Course, before: str, after: str) -> None:
        """Store that the status of the student in the course has changed."""
        if student_id not in self.max_credits:
            return
        if course.credits:
            change = (after in COUNTED_STATUSES) - (before in COUNTED_STATUSES)
            self.credits[student_id, course.term_id] += change * course.credits
        for status, courses in ((Status.ENROLLED, self.enrolled), (Status.WAITLISTED, self.waitlisted)):
            if after == status:
                courses[student_id][course.pk] = course
            else:
                courses[student_id].pop(course.pk, None)
