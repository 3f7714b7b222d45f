"""Students and enrollments in JSON. What may happen to an enrollment is decided further down."""

from students.serializers.acts import CompleteSerializer, EnrollSerializer
from students.serializers.enrollments import (
    ChangeSerializer,
    ChangesQuerySerializer,
    ChangesSerializer,
    EnrollmentEventSerializer,
    EnrollmentSerializer,
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
]
