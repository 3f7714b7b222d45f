"""API views for students."""

from typing import Any, cast

from rest_framework.serializers import BaseSerializer

from school.api.views import ResourceViewSet
from school.validators import parse_id
from students.api.actor import actor_from_request
from students.api.filters import StudentFilter
from students.api.serializers import StudentSerializer, examples
from students.enrollment import lock_to_deactivate, lock_waitlisted_courses, promote
from students.lookup import find_student, resolve_student_id
from students.models import Student


class StudentViewSet(ResourceViewSet):
    scope = "students"
    permission_model = Student
    detail_url_name = "student"
    queryset = Student.objects.all()
    serializer_class = StudentSerializer
    filterset_class = StudentFilter
    request_examples = {"PUT": examples.STUDENT_REPLACEMENT, "PATCH": examples.STUDENT_CHANGE}
    search_fields = ["student_number", "given_name", "family_name", "email"]
    ordering_fields = {"id": "id", "student_number": "student_number", "family_name": "family_name"}
    ordering = "id"

    def pk_in_url(self) -> int:
        identifier = self.kwargs["student_id"]
        return parse_id(identifier) or resolve_student_id(identifier, self.get_queryset())

    def find_object(self) -> Student:
        student = find_student(self.kwargs["student_id"], self.get_queryset())
        if self.request.method in ("PUT", "PATCH"):
            self.locked_course_ids = lock_waitlisted_courses([student.pk])
        return student

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        if not serializer.validated_data.get("is_active", True):
            lock_to_deactivate([cast(Student, serializer.instance).pk])
        super().perform_update(serializer)
        promote(self.locked_course_ids, actor=actor_from_request(self.request))
