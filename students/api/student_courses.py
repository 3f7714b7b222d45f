"""API views for the courses of a student: list, enroll, complete and drop."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from courses.lookup import find_course
from courses.models import Course
from school.api.etags import check_if_match, if_match_is_any, is_conditional
from school.api.permissions import row_scope_of
from school.api.row_json import json_response
from school.api.serializers import parse_body
from school.identifiers import parse_id
from school.refusals import Refused
from students.api.actor import actor_from_request
from students.api.base_views import EnrollmentReadViewSet
from students.api.filters import StudentCoursesFilter
from students.api.serializers import CompleteSerializer, EnrollmentSerializer, EnrollSerializer, examples
from students.api.visible_rows import count_visible, enrollable_students, visible_courses, visible_students
from students.enrollment import complete, drop, enroll, preview_commands
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.outcomes import Outcome
from students.enrollment.rules import not_enrolled_refusal
from students.lookup import find_student, resolve_student_id
from students.models import Action, Status, Student, StudentCourse

COMPLETED = OpenApiResponse(
    {
        "allOf": [
            {"$ref": "#/components/schemas/Enrollment"},
            {"type": "object", "properties": {"losing_prerequisites": {"type": "integer"}}},
        ]
    },
    "The enrollment; in a preview, also how many open enrollments lose a prerequisite",
    [OpenApiExample("Answer", examples.ENROLLMENT)],
)


def enroll_from_request(student_id: str, body: EnrollSerializer, actor: ActorContext, request: Request) -> Outcome:
    """
    Enroll the student from the URL in the course from the body; raise ``Refused``.

    A refusal suggests only students and courses that the caller may see.
    """
    students = enrollable_students(request)
    if students is not None:
        pk = find_student(student_id, students).pk
    else:
        pk = parse_id(student_id) or resolve_student_id(student_id, visible_students(request))
    return enroll(
        student_id=pk,
        course_id=body.resolve_course_id(row_scope_of(request)),
        reason=body.validated_data["reason"],
        on_full=OnFull(body.validated_data["on_full"]),
        waived_codes=body.validated_data["waive"],
        instead_of=body.resolve_instead_of(row_scope_of(request)),
        actor=actor,
    )


class StudentCoursesViewSet(EnrollmentReadViewSet):
    """The courses of a student: the list, and the actions on each course."""

    # A drop ends an enrollment and deletes no row, so it needs no permission to delete.
    method_permissions = {"DELETE": "change"}
    filterset_class = StudentCoursesFilter
    ordering_fields = {"id": "id", "updated_at": "updated_at", "course_code": "course__code"}

    def get_queryset(self) -> QuerySet[StudentCourse]:
        return super().get_queryset().filter(student_id=self.parameter("student"))

    def parameter_values(self) -> dict[str, Any]:
        identifier = self.kwargs["student_id"]
        return {"student": parse_id(identifier) or resolve_student_id(identifier, visible_students(self.request))}

    def check_parent_exists(self) -> None:
        find_student(self.kwargs["student_id"], visible_students(self.request))

    def row_lookups(self) -> dict[str, Any]:
        identifier = self.kwargs["course_id"]
        return {"course_id": parse_id(identifier) or find_course(identifier, visible_courses(self.request)).pk}

    def get_object(self) -> StudentCourse:
        student, course = self._student_and_course()
        latest = self.queryset.filter(student=student, course=course).order_by("-pk").first()
        if latest is None:
            raise Refused([not_enrolled_refusal(course)])
        return latest

    @extend_schema(
        request=EnrollSerializer,
        responses={
            201: OpenApiResponse(EnrollmentSerializer, "Enrolled or waitlisted now"),
            200: OpenApiResponse(EnrollmentSerializer, "Open already, or waitlisted and enrolled now by a waiver"),
        },
    )
    def enroll(self, request: Request, student_id: str) -> HttpResponse:
        """
        Enroll the student in a course, or put the student on its waitlist.

        A retry is safe: if the enrollment is open already, the response is 200 with that enrollment. The response is
        also 200 if a waitlisted enrollment gets a seat by a waiver, because no new enrollment is created. With
        `instead_of` the student leaves another course for the seat, in one step.
        """
        body = parse_body(EnrollSerializer, request.data)
        outcome = enroll_from_request(student_id, body, actor_from_request(request), request)
        return self._outcome_response(outcome, status=201 if outcome.created else 200)

    @extend_schema(request=CompleteSerializer, responses={200: COMPLETED})
    def complete(self, request: Request, student_id: str, course_id: str) -> HttpResponse:
        """
        Complete the course, with or without a grade, or correct the grade of a completed enrollment.

        A body that equals the enrollment as it was read changes nothing. With `dry_run` the answer is the enrollment as
        it would be, and nothing is changed.
        """
        student, course = self._student_and_course()
        body = parse_body(CompleteSerializer, request.data)
        data = body.validated_data
        if data.get("status") != Status.COMPLETED:
            self._if_match_version()
            enrollment = self.get_object()
            body.validate_unchanged(enrollment)
            return _preview_response(enrollment, 0) if data["dry_run"] else self._enrollment_response(enrollment, 200)
        fields = {"grade": data.get("grade"), "reason": data["reason"], "if_version": self._if_match_version()}
        actor = actor_from_request(request)
        if data["dry_run"]:
            preview = preview_commands([EnrollmentCommand(Action.COMPLETE, student.pk, course.pk, **fields)], actor)
            [(outcome, _event)] = preview.planned_actions
            if not outcome.accepted:
                raise Refused(outcome.refusals)
            return _preview_response(outcome.enrollment, count_visible(request, preview.losing_prerequisites))
        outcome = complete(student_id=student.pk, course_id=course.pk, actor=actor, **fields)
        return self._outcome_response(outcome, status=200)

    def drop(self, request: Request, student_id: str, course_id: str) -> HttpResponse:
        """
        Drop the course: the enrollment becomes dropped on or before the term's drop deadline, and withdrawn after it.

        The enrollment stays as history.
        """
        student, course = self._student_and_course()
        drop(
            student_id=student.pk,
            course_id=course.pk,
            if_version=self._if_match_version(),
            actor=actor_from_request(request),
        )
        return Response(status=204)

    def _student_and_course(self) -> tuple[Student, Course]:
        student = find_student(self.kwargs["student_id"], visible_students(self.request))
        return student, find_course(self.kwargs["course_id"], visible_courses(self.request))

    def _if_match_version(self) -> tuple[int, int] | None:
        """
        Return the id and the version that the enrollment must have according to If-Match.

        Return None without If-Match, and for ``If-Match: *``. Raise ``Refused`` if the current enrollment does not
        match.
        """
        if not is_conditional(self.request):
            return None
        enrollment = self.get_object()
        check_if_match(self.request, self.etag_of(enrollment))
        return None if if_match_is_any(self.request) else (enrollment.pk, enrollment.version)

    def _outcome_response(self, outcome: Outcome, *, status: int) -> HttpResponse:
        assert outcome.enrollment is not None  # an accepted command has an enrollment
        return self._enrollment_response(outcome.enrollment, status)

    def _enrollment_response(self, enrollment: StudentCourse, status: int) -> HttpResponse:
        """Return the response with the current state of an enrollment."""
        etag, text = self.etag_and_json({"pk": enrollment.pk})
        headers = {"ETag": etag}
        if status == 201:
            path = reverse("student-course", args=[enrollment.student_id, enrollment.course_id])
            headers["Location"] = self.request.build_absolute_uri(path)
        return json_response(text, status, headers)


def _preview_response(enrollment: StudentCourse | None, losing: int) -> Response:
    """Return the enrollment as it would be, with the number of enrollments that lose a prerequisite."""
    return Response({**EnrollmentSerializer(enrollment).data, "losing_prerequisites": losing})
