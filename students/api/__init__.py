"""API views for students, courses, enrollments, rosters and the change feed."""

from students.api.batch import BatchView
from students.api.enrollments import ChangesView, EnrollmentEventsViewSet, EnrollmentViewSet, RosterViewSet
from students.api.student_courses import StudentCoursesViewSet
from students.api.students_and_courses import CourseWithSeatsViewSet, StudentViewSet

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
