"""Serializers for students and enrollments. The rules about enrollments are in ``students.rules``."""

from students.serializers.acts import CompleteSerializer, EnrollSerializer
from students.serializers.enrollments import (
    ChangeSerializer,
    ChangesQuerySerializer,
    ChangesSerializer,
    EnrollmentEventSerializer,
    EnrollmentSerializer,
    change_template,
)
from students.serializers.parties import CourseWithSeatsSerializer, StudentSerializer

__all__ = [
    "ChangeSerializer",
    "ChangesQuerySerializer",
    "ChangesSerializer",
    "CompleteSerializer",
    "CourseWithSeatsSerializer",
    "EnrollSerializer",
    "EnrollmentEventSerializer",
    "EnrollmentSerializer",
    "StudentSerializer",
    "change_template",
]
