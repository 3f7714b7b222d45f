"""API views for students, courses, enrollments, rosters and the change feed."""

from students.api.batch import BatchView
from students.api.courses import CourseWithSeatsViewSet
from students.api.enrollments import ChangesView, EnrollmentEventsViewSet, EnrollmentViewSet, RosterViewSet
from students.api.student_courses import StudentCoursesViewSet
from students.api.students import StudentViewSet

__all__ = [
    "BatchView",
    "ChangesView",
    "CourseWithSeatsViewSet",
    "EnrollmentEventsViewSet",
    "EnrollmentViewSet",
    "RosterViewSet",
    "StudentCoursesViewSet",
    "StudentViewSet",
]
