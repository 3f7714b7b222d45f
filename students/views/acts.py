"""A student's courses over the API: the list, and the verbs on each."""

from copy import copy
from functools import cache
from typing import Any, TypeVar, cast

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from courses.lookup import find_course
from courses.models import Course
from school.api.conditional import check_if_match, is_conditional, matches_anything
from school.api.printing import printer
from school.refusals import Refused
from students.acts import OnFull, Origin, Outcome
from students.enrollment import complete, drop, enroll
from students.filters import StudentCoursesFilter
from students.lookup import find_student, student_id_of
from students.models import Student, StudentCourse
from students.rules import never_enrolled
from students.serializers import CompleteSerializer, EnrollmentSerializer, EnrollSerializer
from students.views.origin import origin_of
from students.views.reads import EnrollmentReads, courses_for, students_for

shown = printer(EnrollmentSerializer())

S = TypeVar("S", bound=BaseSerializer[Any])

_reads = EnrollmentReads()


@cache
def _blank(serializer_class: Any) -> Any:
    """Return a serializer that has its fields already."""
    serializer = serializer_class()
    assert serializer.fields  # made when they are asked for
    return serializer


def reading(serializer_class: type[S], data: Any) -> S:
    """Return a serializer that has read what was sent; raise ``ValidationError``."""
    # Fields are long in the making, and keep nothing of what they read: a copy shares them.
    blank: S = _blank(cast(Any, serializer_class))
    serializer = copy(blank)
    serializer.initial_data = data
    serializer.is_valid(raise_exception=True)
    return serializer


def enroll_as_asked(
    student_id: str, body: EnrollSerializer, origin: Origin, courses: QuerySet[Course] | None = None
) -> Outcome:
    """Enroll the student of an address in the course of a body, among ``courses`` or all; raise ``Refused``."""
    return enroll(
        student_id=student_id_of(student_id),  # of the whole school: who is new to its courses has to be named
        course_id=body.chosen_course_id(courses),
        reason=body.validated_data["reason"],
        on_full=OnFull(body.validated_data["on_full"]),
        waive=body.validated_data["waive"],
        origin=origin,
    )


def headers_of(enrollment: StudentCourse, status: int, request: Any) -> dict[str, str]:
    """Return the headers of an answer that shows an enrollment."""
    headers = {"ETag": _reads.tag_of(enrollment)}
    if status == 201:
        address = reverse("student-course", args=[enrollment.student_id, enrollment.course_id])
        headers["Location"] = request.build_absolute_uri(address)
    return headers


class StudentCoursesViewSet(EnrollmentReads, GenericViewSet[StudentCourse]):
    """A student's courses: the list, and the verbs on each."""

    scope = "enrollments"
    permission_model = StudentCourse
    method_permissions = {"DELETE": "change"}  # a drop ends an enrollment and deletes nothing
    queryset = StudentCourse.objects.with_parties()
    serializer_class = EnrollmentSerializer
    filterset_class = StudentCoursesFilter
    ordering_fields = {"id": "id", "updated_at": "updated_at", "course_code": "course__code"}
    ordering = "id"

    def get_queryset(self) -> QuerySet[StudentCourse]:
        student = find_student(self.kwargs["student_id"], students_for(self.request))
        return super().get_queryset().filter(student=student)

    def get_object(self) -> StudentCourse:
        student, course = self._parties()
        newest = self.queryset.filter(student=student, course=course).order_by("-pk").first()
        if newest is None:
            raise Refused([never_enrolled(course)])
        return newest

    @extend_schema(
        request=EnrollSerializer,
        responses={201: EnrollmentSerializer, 200: OpenApiResponse(EnrollmentSerializer, "Enrolled already")},
    )
    def enroll(self, request: Request, student_id: str) -> Response:
        """
        Enroll the student, or let them wait for a seat.

        A retry is safe: who is enrolled or waits already gets the same enrollment with 200.
        """
        body = reading(EnrollSerializer, request.data)
        outcome = enroll_as_asked(student_id, body, origin_of(request), courses_for(request))
        return self._answer(outcome, status=201 if outcome.changed else 200)

    @extend_schema(request=CompleteSerializer, responses=EnrollmentSerializer)
    def complete(self, request: Request, student_id: str, course_id: str) -> Response:
        """Complete the course, with a grade or without; or correct the grade of a completed one."""
        student, course = self._parties()
        wish = reading(CompleteSerializer, request.data).validated_data
        outcome = complete(
            student_id=student.pk,
            course_id=course.pk,
            grade=wish.get("grade"),
            reason=wish["reason"],
            expected=self._expected(),
            origin=origin_of(request),
        )
        return self._answer(outcome, status=200)

    def drop(self, request: Request, student_id: str, course_id: str) -> Response:
        """Drop the course: dropped by the term's drop deadline, withdrawn after it. The enrollment stays as history."""
        student, course = self._parties()
        drop(student_id=student.pk, course_id=course.pk, expected=self._expected(), origin=origin_of(request))
        return Response(status=204)

    def _parties(self) -> tuple[Student, Course]:
        student = find_student(self.kwargs["student_id"], students_for(self.request))
        return student, find_course(self.kwargs["course_id"], courses_for(self.request))

    def _expected(self) -> tuple[int, int] | None:
        """Return the id and the version of the enrollment that If-Match names; raise ``Refused`` where it is not so."""
        if not is_conditional(self.request):
            return None
        enrollment = self.get_object()
        check_if_match(self.request, self.tag_of(enrollment))
        return None if matches_anything(self.request) else (enrollment.pk, enrollment.version)

    def _answer(self, outcome: Outcome, *, status: int) -> Response:
        enrollment = outcome.enrollment
        assert enrollment is not None  # an accepted act has one
        return Response(shown(enrollment), status, headers=headers_of(enrollment, status, self.request))
