"""Models: students, enrollments, the journal of every change to an enrollment, and recent refusals."""

from students.models.enrollment import (
    ENDED,
    LEFT,
    OPEN,
    Status,
    StudentCourse,
    StudentCourseQuerySet,
    counted_by_course,
)
from students.models.event import Action, Channel, EnrollmentEvent
from students.models.refusal import RefusedAct
from students.models.student import Student

__all__ = [
    "ENDED",
    "LEFT",
    "OPEN",
    "Action",
    "Channel",
    "EnrollmentEvent",
    "RefusedAct",
    "Status",
    "Student",
    "StudentCourse",
    "StudentCourseQuerySet",
    "counted_by_course",
]
