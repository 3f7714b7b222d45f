"""API views of terms, courses and grades."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import Model
from rest_framework.serializers import BaseSerializer

from courses.api.filters import CourseFilter, TermFilter
from courses.api.serializers import TERM, CourseSerializer, GradeSerializer, TermSerializer, visible_codes_for
from courses.grades import table_refusals
from courses.lookup import CourseKey, find_course, find_grade, find_term, parse_course_key
from courses.models import Course, Grade, Term
from courses.object_savers import CourseSaver
from courses.prerequisites import (
    lock_for_rename,
    lock_prerequisites,
    lock_sections,
    refuse_deletion,
    rename_in_prerequisites,
)
from school.access.row_scope import filter_by_scope
from school.api.base_views import ResourceViewSet
from school.api.batches import BatchMixin, NaturalKey
from school.api.permissions import row_scope_of
from school.identifiers import parse_id
from school.refusals import Refused
from school.text_normalization import normalized

S = TypeVar("S", bound=CourseSaver)


def course_key_values(key: CourseKey) -> dict[str, Any]:
    """Return the fields of a course that have the parts of its key, with their values in JSON."""
    return {"code": key.code, "term": key.term or None, "section": key.section}


class TermViewSet(BatchMixin, ResourceViewSet):
    """Terms without students. ``students.api`` serves a subclass that promotes waitlisted students."""

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

    natural_key = NaturalKey(("code",), str)

    def pk_in_url(self) -> int:
        return parse_id(self.kwargs["term_id"]) or self.find_object().pk

    def key_in_url(self) -> dict[str, Any] | None:
        prefix, _colon, code = self.kwargs["term_id"].partition(":")
        return {"code": normalized(code)} if prefix == "code" else None

    def find_object(self) -> Term:
        return find_term(self.kwargs["term_id"], self.get_queryset())


class GradeViewSet(ResourceViewSet):
    """The table of grades without students. ``students.api`` serves a subclass that promotes waitlisted students."""

    scope = "courses"
    permission_model = Grade
    detail_url_name = "grade"
    queryset = Grade.objects.all()
    serializer_class = GradeSerializer
    request_examples = {"PATCH": {"passes": False}}
    ordering_fields = {"id": "id", "code": "code"}
    ordering = "id"

    def pk_in_url(self) -> int:
        return parse_id(self.kwargs["grade_id"]) or self.find_object().pk

    def find_object(self) -> Grade:
        return find_grade(self.kwargs["grade_id"], self.get_queryset())

    def lock_object(self, row: Model) -> None:
        lock_prerequisites()
        super().lock_object(row)

    def perform_destroy(self, instance: Any) -> None:
        if refusals := table_refusals(None, [instance.pk]):
            raise Refused([each.without_field() for each in refusals])
        super().perform_destroy(instance)


class CourseViewSet(BatchMixin, ResourceViewSet):
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

    natural_key = NaturalKey(("code", "term", "section"), CourseKey)

    def batch_saver(self) -> CourseSaver:
        return self.prepare_saver(CourseSaver())

    def prepare_saver(self, saver: S) -> S:
        saver.history = {"default_user": self.request.user}
        saver.visible_codes = visible_codes_for(self.request)
        return saver

    def batch_context(self, items: Sequence[Any]) -> dict[str, Any]:
        terms = filter_by_scope(Term.objects.all(), row_scope_of(self.request))
        keys = map(self.natural_key.of, items if row_scope_of(self.request) is None else ())
        # A limited client does not learn from a batch whether a course that it does not see has one of these codes.
        added_codes = {key.code for key in keys if isinstance(key, CourseKey)}
        return {"terms": {term.code: term for term in terms}, "added_codes": added_codes}

    def pk_in_url(self) -> int:
        identifier = self.kwargs["course_id"]
        return (
            parse_id(identifier) or find_course(identifier, None if self.row_scope is None else self.get_queryset()).pk
        )

    def key_in_url(self) -> dict[str, Any] | None:
        identifier = self.kwargs["course_id"]
        return course_key_values(parse_course_key(identifier)) if identifier.startswith("code:") else None

    def find_object(self) -> Course:
        return find_course(self.kwargs["course_id"], self.get_queryset())

    def lock_object(self, row: Model) -> None:
        body = self.request.data if self.request.method != "DELETE" and isinstance(self.request.data, Mapping) else {}
        if body.get("code", row.code) != row.code:  # type: ignore[attr-defined]  # it is a course
            lock_for_rename(row.pk, str(body["code"]))
        elif _names_another_section(row, body):
            lock_sections(row.code, row.pk)  # type: ignore[attr-defined]
        elif self.request.method == "DELETE" or {"code", "prerequisites", "corequisites"} & {*body}:
            lock_prerequisites()
        super().lock_object(row)

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        lock_sections(serializer.validated_data["code"])
        super().perform_create(serializer)

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        course: Any = serializer.instance
        code = serializer.validated_data.get("code", course.code)
        rename_in_prerequisites(course.pk, code, row_scope_of(self.request))
        super().perform_update(serializer)

    def perform_destroy(self, instance: Any) -> None:
        refuse_deletion([instance.pk], row_scope_of(self.request))
        super().perform_destroy(instance)


def _names_another_section(course: Any, body: Mapping[str, Any]) -> bool:
    """Return True if the body gives the course another term or section."""
    term = course.term and course.term.code
    return (body.get("term", term), body.get("section", course.section)) != (term, course.section)
