"""API views for students."""

from typing import Any, cast

from rest_framework.serializers import BaseSerializer

from school.api.base_views import ResourceViewSet
from school.api.batches import BatchMixin, NaturalKey
from school.api.openapi.batch_serializers import describe_batch
from school.identifiers import parse_id
from school.text_normalization import normalized
from students.api.actor import actor_from_request
from students.api.filters import StudentFilter
from students.api.serializers import StudentSerializer, examples
from students.enrollment import lock_to_deactivate, lock_waitlisted_courses, promote
from students.imports.object_savers import StudentSaver
from students.lookup import find_student, resolve_student_id
from students.models import Student


@describe_batch("student", StudentSerializer, {"student_number": "S-9001", "given_name": "Grace", "family_name": ""})
class StudentViewSet(BatchMixin, ResourceViewSet):
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

    natural_key = NaturalKey(("student_number",), str)

    def batch_saver(self) -> StudentSaver:
        saver = StudentSaver()
        saver.history = {"default_user": self.request.user}
        saver.actor = actor_from_request(self.request)
        return saver

    def pk_in_url(self) -> int:
        identifier = self.kwargs["student_id"]
        return parse_id(identifier) or resolve_student_id(identifier, self.get_queryset())

    def key_in_url(self) -> dict[str, Any] | None:
        prefix, _colon, number = self.kwargs["student_id"].partition(":")
        return {"student_number": normalized(number)} if prefix == "number" else None

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
