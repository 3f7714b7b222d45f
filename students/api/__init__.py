"""API views for students, holds, terms, courses, grades, enrollments, rosters and the change feed."""

from students.api.batch import BatchView
from students.api.cancellations import CancellationViewSet
from students.api.changes import ChangesView
from students.api.courses_with_seats import CourseWithSeatsViewSet
from students.api.enrollment_events import EnrollmentEventsViewSet
from students.api.enrollments import EnrollmentViewSet
from students.api.grades import GradeWithWaitlistsViewSet
from students.api.holds import HoldsViewSet
from students.api.roster import RosterViewSet
from students.api.student_courses import StudentCoursesViewSet
from students.api.students import StudentViewSet
from students.api.terms import TermWithWaitlistsViewSet

__all__ = [
    "BatchView",
    "CancellationViewSet",
    "ChangesView",
    "CourseWithSeatsViewSet",
    "EnrollmentEventsViewSet",
    "EnrollmentViewSet",
    "GradeWithWaitlistsViewSet",
    "HoldsViewSet",
    "RosterViewSet",
    "StudentCoursesViewSet",
    "StudentViewSet",
    "TermWithWaitlistsViewSet",
]
