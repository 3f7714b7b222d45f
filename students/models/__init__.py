"""Models: students, enrollments, the journal of every change to an enrollment, and recent refusals."""

from students.models.enrollments import (
    ENDED,
    LEFT,
    OPEN,
    Status,
    StudentCourse,
    StudentCourseQuerySet,
    counted_by_course,
)
from students.models.journal import Action, Channel, EnrollmentEvent
from students.models.parties import Student
from students.models.refusals import RefusedAct

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
