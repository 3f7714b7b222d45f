"""Counts the seats of courses from their enrollments, because the numbers are not stored."""

from dataclasses import dataclass

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from courses.models import Course
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from students.models import Status, StudentCourse, count_per_course_subquery


@dataclass(frozen=True, slots=True)
class Seats:
    """
    The seats of a course: the capacity (None for no limit), the number of taken seats, and the length of the waitlist.
    """

    capacity: int | None
    taken: int
    waiting: int

    @property
    def free(self) -> int | None:
        return None if self.capacity is None else max(self.capacity - self.taken, 0)

    @property
    def over(self) -> int:
        """The number of students above the capacity, which a waiver or a reduction of the capacity has caused."""
        return 0 if self.capacity is None else max(self.taken - self.capacity, 0)

    @property
    def warnings(self) -> list[Refusal]:
        if not self.over:
            return []
        message = _(
            "Enrolled: %(taken)s, seats: %(capacity)s. Enrolled students keep their seats, and no new students "
            "are enrolled."
        )
        return [Refusal("over_capacity", message % {"taken": self.taken, "capacity": self.capacity})]


def annotate_seats(courses: QuerySet[Course]) -> QuerySet[Course]:
    """Annotate the courses with their counts, so that ``get_seats`` needs no query."""
    enrollments = StudentCourse.objects.filter(course=OuterRef("pk"))
    taken, waitlisted = (
        Coalesce(Subquery(count_per_course_subquery(each)), 0)
        for each in (enrollments.enrolled(), enrollments.waitlisted())
    )
    return courses.annotate(seats_taken=taken, waitlist_length=waitlisted)


def get_seats(course: Course) -> Seats:
    """Return the seats of a course: as of its query if it was annotated by ``annotate_seats``, else as of now."""
    if hasattr(course, "seats_taken"):
        return Seats(course.capacity, course.seats_taken, getattr(course, "waitlist_length", 0))
    count = StudentCourse.objects.filter(course=course).aggregate(
        taken=Count("pk", filter=Q(status=Status.ENROLLED)), waiting=Count("pk", filter=Q(status=Status.WAITLISTED))
    )
    return Seats(course.capacity, **count)
