"""
Serializers for students and enrollments.

They check only the format of the input, and ``students.enrollment`` the rules.
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
