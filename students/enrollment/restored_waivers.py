"""
Finds the waivers that the undo of a cancellation restores together with the enrollments.

Rules that were waived for an enrollment would refuse its undo again. Its journal entries have their codes. A rule that
the enrollment breaks only since the cancellation is not waived.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Exists, F, OuterRef

from courses.meetings import meeting_conflict
from courses.models import Course
from students.enrollment.rules import credits_are_within_maximum, meets_at_another_time, no_other_section
from students.models import EnrollmentEvent, Status, StudentCourse


def restored_waivers(enrollments: Mapping[int, int], course: Course, since: datetime) -> dict[int, frozenset[str]]:
    """
    Return the codes of the rules that an undo waives again, by the student's id; students without any are left out.

    ``enrollments`` maps the ids of enrollments in the course to their students. ``since`` is the time of the
    cancellation. There is one query if no rule was waived.
    """
    events = EnrollmentEvent.objects.filter(enrollment__pk__any_of=list(enrollments)).exclude(waived=[])
    codes: dict[int, set[str]] = defaultdict(set)
    for pk, waived in events.order_by().values_list("enrollment_id", "waived"):
        codes[enrollments[pk]].update(waived)
    if codes:
        for row in _begun_since(codes, course, since):
            codes[row.student_id] -= _new_obstacles(course, row)
    return {student_id: frozenset(waived) for student_id, waived in codes.items() if waived}


def _begun_since(student_ids: Iterable[int], course: Course, since: datetime) -> Iterable[StudentCourse]:
    """Return the open enrollments of the students in other courses that got their status later than an instant."""
    changes = EnrollmentEvent.objects.filter(enrollment=OuterRef("pk"), to_status=OuterRef("status"), at__gt=since)
    rows = StudentCourse.objects.open().filter(student__pk__any_of=list(student_ids)).exclude(course=course)
    return rows.filter(Exists(changes.exclude(from_status=F("to_status")))).select_related("course__term")


def _new_obstacles(course: Course, row: StudentCourse) -> set[str]:
    """Return the codes of the rules of this course that an enrollment in another course breaks."""
    other = row.course
    found: set[str] = set()
    is_same_term = other.term_id == course.term_id
    if is_same_term and other.code == course.code:
        found.add(no_other_section.code)
    if row.status == Status.ENROLLED and is_same_term and other.credits:
        found.add(credits_are_within_maximum.code)
    if row.status == Status.ENROLLED and meeting_conflict(course, other):
        found.add(meets_at_another_time.code)
    return found
