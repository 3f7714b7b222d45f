"""API views of terms and courses."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model
from rest_framework.serializers import BaseSerializer

from courses.api.filters import CourseFilter, TermFilter
from courses.api.serializers import TERM, CourseSerializer, TermSerializer
from courses.lookup import find_course, find_term
from courses.models import Course, Term
from courses.prerequisites import lock_for_rename, lock_prerequisites, refuse_deletion, rename_in_prerequisites
from school.api.permissions import row_scope_of
from school.api.views import ResourceViewSet
from school.validators import parse_id


class TermViewSet(ResourceViewSet):
    scope = "courses"
    permission_model = Term
    detail_url_name = "term"
    queryset = Term.objects.all()
    serializer_class = TermSerializer
    request_examples = {"PUT": TERM, "PATCH": {"name": "Fall Term 2026"}}
    filterset_class = TermFilter
    search_fields = ["code", "name"]
    ordering_fields = {"id": "id", "code": "code", "starts_on": "starts_on"}
    ordering = "-starts_on"

    def pk_in_url(self) -> int:
        return parse_id(self.kwargs["term_id"]) or self.find_object().pk

    def find_object(self) -> Term:
        return find_term(self.kwargs["term_id"], self.get_queryset())


class CourseViewSet(ResourceViewSet):
    """Courses without students. ``students.api`` serves a subclass with their seats."""

    scope = "courses"
    permission_model = Course
    detail_url_name = "course"
    queryset = Course.objects.select_related("term")
    serializer_class = CourseSerializer
    filterset_class = CourseFilter
    search_fields = ["code", "name"]
    ordering_fields = {"id": "id", "code": "code", "name": "name"}
    ordering = "id"

    def pk_in_url(self) -> int:
        identifier = self.kwargs["course_id"]
        return (
            parse_id(identifier) or find_course(identifier, None if self.row_scope is None else self.get_queryset()).pk
        )

    def find_object(self) -> Course:
        return find_course(self.kwargs["course_id"], self.get_queryset())

    def lock_object(self, row: Model) -> None:
        body = self.request.data if self.request.method != "DELETE" and isinstance(self.request.data, Mapping) else {}
        if body.get("code", row.code) != row.code:  # type: ignore[attr-defined]  # it is a course
            lock_for_rename(row.pk, str(body["code"]))
        elif self.request.method == "DELETE" or "code" in body or "prerequisites" in body:
            lock_prerequisites()
        super().lock_object(row)

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        course: Any = serializer.instance
        code = serializer.validated_data.get("code", course.code)
        rename_in_prerequisites(course.pk, code, row_scope_of(self.request))
        super().perform_update(serializer)

    def perform_destroy(self, instance: Any) -> None:
        refuse_deletion([instance.pk], row_scope_of(self.request))
        super().perform_destroy(instance)
