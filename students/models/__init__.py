"""Models: students, their holds, enrollments, the journal of every change to an enrollment, and recent refusals."""

from students.models.cancellation import CourseCancellation
from students.models.enrollment import (
    ENDED_STATUSES,
    LEFT_STATUSES,
    OPEN_STATUSES,
    Status,
    StudentCourse,
    StudentCourseQuerySet,
    count_per_course_subquery,
)
from students.models.event import Action, Channel, EnrollmentEvent
from students.models.hold import Hold, HoldQuerySet
from students.models.refusal import RefusedAct
from students.models.student import Student

__all__ = [
    "ENDED_STATUSES",
    "LEFT_STATUSES",
    "OPEN_STATUSES",
    "Action",
    "Channel",
    "CourseCancellation",
    "EnrollmentEvent",
    "Hold",
    "HoldQuerySet",
    "RefusedAct",
    "Status",
    "Student",
    "StudentCourse",
    "StudentCourseQuerySet",
    "count_per_course_subquery",
]
