"""Students, and courses with their seats, over the API."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.serializers import BaseSerializer

from courses.models import Course
from courses.views import CourseViewSet
from school.api.views import ResourceViewSet
from students.enrollment import courses_waited_for, promote
from students.filters import StudentFilter
from students.lookup import find_student
from students.models import Student
from students.seats import with_seats
from students.serializers import CourseWithSeatsSerializer, StudentSerializer
from students.views.origin import origin_of


class CourseWithSeatsViewSet(CourseViewSet):
    """Courses with their seats. Who changes one may free a seat, which goes to who waits in the same transaction."""

    serializer_class = CourseWithSeatsSerializer

    def get_queryset(self) -> QuerySet[Course]:
        return with_seats(super().get_queryset())

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)
        assert serializer.instance is not None  # it is an update
        promote([serializer.instance.pk], origin=origin_of(self.request))


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
        student = find_student(self.kwargs["student_id"])
        if self.request.method in ("PUT", "PATCH"):
            self.waited_for = courses_waited_for([student.pk])
        return student

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_update(serializer)
        promote(self.waited_for, origin=origin_of(self.request))
