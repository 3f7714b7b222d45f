"""
Serializers for students and enrollments.

The rules about enrollments are in ``students.enrollment.rules``.
"""

from students.api.serializers.enrollments import (
    ChangeSerializer,
    ChangesQuerySerializer,
    ChangesSerializer,
    EnrollmentEventSerializer,
    EnrollmentSerializer,
    change_template,
)
from students.api.serializers.requests import CompleteSerializer, EnrollSerializer
from students.api.serializers.students import CourseWithSeatsSerializer, StudentSerializer

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
