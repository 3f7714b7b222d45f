"""
Serializers for students and enrollments.

They check only the format of the input, and ``students.enrollment`` the rules.
"""

from students.api.serializers.changes import (
    ChangeSerializer,
    ChangesQuerySerializer,
    ChangesSerializer,
    change_template,
    line_template,
)
from students.api.serializers.courses_with_seats import CourseWithSeatsSerializer
from students.api.serializers.enrollment_events import EnrollmentEventSerializer
from students.api.serializers.enrollments import EnrollmentSerializer
from students.api.serializers.holds import HoldSerializer
from students.api.serializers.requests import CompleteSerializer, EnrollSerializer
from students.api.serializers.students import StudentSerializer

__all__ = [
    "ChangeSerializer",
    "ChangesQuerySerializer",
    "ChangesSerializer",
    "CompleteSerializer",
    "CourseWithSeatsSerializer",
    "EnrollSerializer",
    "EnrollmentEventSerializer",
    "EnrollmentSerializer",
    "HoldSerializer",
    "StudentSerializer",
    "change_template",
    "line_template",
]
