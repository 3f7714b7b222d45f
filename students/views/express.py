"""The lists of enrollments that programs ask for all day."""

from school.api.express import Express
from students.models import StudentCourse
from students.views.acts import StudentCoursesViewSet
from students.views.lists import EnrollmentViewSet, RosterViewSet

OPEN = StudentCourse.objects.with_parties().open()
PLACE = {"waitlist_position": "position"}

student_courses = Express(StudentCoursesViewSet, OPEN, ("student_id", "student_id"), PLACE)
roster = Express(RosterViewSet, OPEN, ("course_id", "course_id"), PLACE)
enrollments = Express(EnrollmentViewSet, OPEN, annotations=PLACE)
