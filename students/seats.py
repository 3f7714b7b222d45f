"""The seats of courses: counted, never stored."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from courses.models import Course
from school.refusals import Refusal
from students.models import Status, StudentCourse, counted_by_course


@dataclass(frozen=True, slots=True)
class Seats:
    """How a course's seats are taken. ``capacity`` None is no limit."""

    capacity: int | None
    taken: int
    waiting: int

    @property
    def free(self) -> int | None:
        return None if self.capacity is None else max(self.capacity - self.taken, 0)

    @property
    def over(self) -> int:
        """How many more are enrolled than there are seats: by a waiver, or because seats were taken away."""
        return 0 if self.capacity is None else max(self.taken - self.capacity, 0)

    @property
    def warnings(self) -> list[Refusal]:
        if not self.over:
            return []
        message = _("Enrolled: %(taken)s, seats: %(capacity)s. Nobody is thrown out, and nobody is let in.")
        return [Refusal("over_capacity", message % {"taken": self.taken, "capacity": self.capacity})]


def with_seats(courses: QuerySet[Course]) -> QuerySet[Course]:
    """Count the seats along with the courses: ``seats_of`` asks nothing more."""
    inside = StudentCourse.objects.filter(course=OuterRef("pk"))
    taken, waiting = (Coalesce(Subquery(counted_by_course(each)), 0) for each in (inside.seated(), inside.waiting()))
    return courses.annotate(seats_taken=taken, line_length=waiting)


def recount(course: Course) -> None:
    """Count the seats of a course anew, for whoever has changed it or has waited for its lock."""
    counted: Any = with_seats(Course.objects.filter(pk=course.pk)).get()
    course.seats_taken = counted.seats_taken  # type: ignore[attr-defined]  # annotated, not declared
    course.line_length = counted.line_length  # type: ignore[attr-defined]


def seats_of(course: Course) -> Seats:
    """Return how the seats of a course are taken, as of when it was read ``with_seats``, else as of now."""
    if hasattr(course, "seats_taken"):
        return Seats(course.capacity, course.seats_taken, getattr(course, "line_length", 0))
    count = StudentCourse.objects.filter(course=course).aggregate(
        taken=Count("pk", filter=Q(status=Status.ENROLLED)), waiting=Count("pk", filter=Q(status=Status.WAITLISTED))
    )
    return Seats(course.capacity, **count)
