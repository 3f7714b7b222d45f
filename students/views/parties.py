"""Students, and courses with their seats, over the API."""

from typing import Any, cast

from django.db.models import Model, QuerySet
from rest_framework.serializers import BaseSerializer

from courses.models import Course
from courses.views import CourseViewSet
from school.api.conditional import State, values_of
from school.api.views import ResourceViewSet
from students.enrollment import courses_waited_for, promote
from students.filters import CourseWithSeatsFilter, StudentFilter
from students.lookup import find_student
from students.models import Student
from students.seats import recount, seats_of, with_seats
from students.serializers import CourseWithSeatsSerializer, StudentSerializer
from students.views.origin import origin_of


class CourseWithSeatsViewSet(CourseViewSet):
    """Courses with their seats. Who changes one may free a seat, which goes to who waits in the same transaction."""

    serializer_class = CourseWithSeatsSerializer
    filterset_class = CourseWithSeatsFilter

    def get_queryset(self) -> QuerySet[Course]:
        return with_seats(super().get_queryset())

    def state_of(self, row: Course) -> State:
        seats = seats_of(row)
        return (*values_of(row), row.term and row.term.code, seats.taken, seats.waiting)

    def lock(self, found: Model) -> None:
        super().lock(found)
        recount(cast(Course, found))

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_create(serializer)
        recount(_course(serializer))

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)
        course = _course(serializer)
        promote([course.pk], origin=origin_of(self.request))
        recount(course)


def _course(serializer: BaseSerializer[Any]) -> Course:
    return cast(Course, serializer.instance)


class StudentViewSet(ResourceViewSet):
    scope = "students"
    permission_model = Student
    address = "student"
    queryset = Student.objects.all()
    serializer_class = StudentSerializer
    filterset_class = StudentFilter
    search_fields = ["student_number", "given_name", "family_name", "email"]
    ordering_fields = {"id": "id", "student_number": "student_number", "family_name": "family_name"}
    ordering = "id"

    def find(self) -> Student:
        student = find_student(self.kwargs["student_id"], self.get_queryset())
        if self.request.method in ("PUT", "PATCH"):
            self.waited_for = courses_waited_for([student.pk])
        return student

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)
        promote(self.waited_for, origin=origin_of(self.request))
