"""The enrollments of a roster and their order, for the course page and all exports."""

from collections.abc import Iterable, Iterator

from django.db.models import Q

from courses.models import Course
from school.http.search_limits import truncate_search
from students.models import LEFT_STATUSES, OPEN_STATUSES, Status, StudentCourse, StudentCourseQuerySet

ROSTER_STATUSES: dict[str, tuple[str, ...]] = {
    "open": OPEN_STATUSES,
    "enrolled": (Status.ENROLLED,),
    "waitlisted": (Status.WAITLISTED,),
    "completed": (Status.COMPLETED,),
    "left": LEFT_STATUSES,
}
SEARCH_FIELDS = ("student__student_number", "student__family_name", "student__given_name")


def roster_rows(course: Course, status: str, search: str = "") -> StudentCourseQuerySet:
    """
    Return the enrollments in a course with a status of ``ROSTER_STATUSES`` whose student matches every word.

    They are ordered by name, waitlisted ones by waitlist position.
    """
    rows = StudentCourse.objects.filter(course=course, status__in=ROSTER_STATUSES[status])
    for word in truncate_search(search).split():
        matches = Q()
        for column in SEARCH_FIELDS:
            matches |= Q(**{f"{column}__icontains": word})
        rows = rows.filter(matches)
    rows = rows.select_related("student", "course__term")
    if status == Status.WAITLISTED:
        return rows.select_related("instead_of__term").order_by("waitlisted_at", "pk")
    return rows.order_by("student__family_name", "student__given_name", "student__student_number", "pk")


def with_waitlist_positions(course: Course, rows: Iterable[StudentCourse]) -> Iterator[StudentCourse]:
    """
    Yield the enrollments, and set ``annotated_waitlist_position`` on the waitlisted ones.

    The waitlist is read only once.
    """
    waitlist = StudentCourse.objects.filter(course=course).in_waitlist_order().values_list("pk", flat=True)
    positions: dict[int, int] = {}
    for row in rows:
        if row.status == Status.WAITLISTED:
            positions = positions or {pk: position for position, pk in enumerate(waitlist, start=1)}
            row.annotated_waitlist_position = positions.get(row.pk)
        yield row
