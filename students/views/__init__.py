"""API views for students, courses, enrollments, rosters and the change feed."""

from students.views.acts import StudentCoursesViewSet
from students.views.batch import BatchView
from students.views.lists import ChangesView, EnrollmentEventsViewSet, EnrollmentViewSet, RosterViewSet
from students.views.parties import CourseWithSeatsViewSet, StudentViewSet

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
