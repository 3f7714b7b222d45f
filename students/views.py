"""Students, their courses and the rosters over the API."""

from typing import Any, TypeVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet, ReadOnlyModelViewSet

from courses.lookup import find_course
from courses.models import Course
from courses.views import CourseViewSet
from school.api.permissions import may
from school.api.views import ResourceViewSet
from school.logs import current_request_id
from school.refusals import Refused
from students.acts import OnFull, Origin, Outcome
from students.changes import read_changes
from students.enrollment import complete, courses_waited_for, drop, enroll, promote
from students.filters import EnrollmentFilter, RosterFilter, StudentCoursesFilter, StudentFilter
from students.lookup import find_student
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from students.rules import never_enrolled
from students.seats import with_seats
from students.serializers import (
    ChangesQuerySerializer,
    ChangesSerializer,
    CompleteSerializer,
    CourseWithSeatsSerializer,
    EnrollmentEventSerializer,
    EnrollmentSerializer,
    EnrollSerializer,
    StudentSerializer,
)

S = TypeVar("S", bound=BaseSerializer[Any])


def origin_of(request: Request) -> Origin:
    may_waive = may(request, "enrollments:waive", "students.waive_rules")
    return Origin(Channel.API, actor_id=request.user.pk, request_id=current_request_id(), may_waive=may_waive)


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


class EnrollmentViewSet(ReadOnlyModelViewSet[StudentCourse]):
    """Every enrollment in one flat list, for integrators."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = StudentCourse.objects.with_parties()
    serializer_class = EnrollmentSerializer
    filterset_class = EnrollmentFilter
    ordering_fields = {"id": "id", "updated_at": "updated_at"}
    ordering = "id"

    def get_object(self) -> StudentCourse:
        # Without the filters: their default hides what has ended, and is for lists.
        return get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])


class EnrollmentEventsViewSet(mixins.ListModelMixin, GenericViewSet[EnrollmentEvent]):
    """What happened to an enrollment, from its beginning on."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = EnrollmentEvent.objects.select_related("actor")
    serializer_class = EnrollmentEventSerializer
    ordering_fields = {"id": "id"}
    ordering = "id"

    def get_queryset(self) -> QuerySet[EnrollmentEvent]:
        enrollment = get_object_or_404(StudentCourse, pk=self.kwargs["pk"])
        return super().get_queryset().filter(enrollment=enrollment)


class ChangesView(APIView):
    """Every change of every enrollment, drops included, in order and none missed."""

    scope = "changes"
    permission_model = EnrollmentEvent
    cursors_expire = True

    @extend_schema(operation_id="changes_list", parameters=[ChangesQuerySerializer], responses=ChangesSerializer)
    def get(self, request: Request) -> Response:
        """
        Read on from a cursor. The answer has the cursor to come back with, also where there is nothing to read.

        With `wait` the answer is held until something happens, for that many seconds at most.
        """
        query = ChangesQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        return Response(ChangesSerializer(read_changes(asked["after"], asked["limit"], wait=asked["wait"])).data)


class StudentCoursesViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[StudentCourse]):
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
        return super().get_queryset().filter(student=find_student(self.kwargs["student_id"]))

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
        body = self._read(EnrollSerializer)
        student = find_student(student_id)
        outcome = enroll(
            student_id=student.pk,
            course_id=body.chosen_course_id,
            reason=body.validated_data["reason"],
            on_full=OnFull(body.validated_data["on_full"]),
            waive=body.validated_data["waive"],
            origin=origin_of(request),
        )
        return self._answer(outcome, status=201 if outcome.changed else 200)

    @extend_schema(request=CompleteSerializer, responses=EnrollmentSerializer)
    def complete(self, request: Request, student_id: str, course_id: str) -> Response:
        """Complete the course, with a grade or without; or correct the grade of a completed one."""
        student, course = self._parties()
        wish = self._read(CompleteSerializer).validated_data
        outcome = complete(
            student_id=student.pk,
            course_id=course.pk,
            grade=wish.get("grade"),
            reason=wish["reason"],
            origin=origin_of(request),
        )
        return self._answer(outcome, status=200)

    def drop(self, request: Request, student_id: str, course_id: str) -> Response:
        """Drop the course: dropped by the term's drop deadline, withdrawn after it. The enrollment stays as history."""
        student, course = self._parties()
        drop(student_id=student.pk, course_id=course.pk, origin=origin_of(request))
        return Response(status=204)

    def _parties(self) -> tuple[Student, Course]:
        return find_student(self.kwargs["student_id"]), find_course(self.kwargs["course_id"])

    def _read(self, serializer_class: type[S]) -> S:
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return serializer

    def _answer(self, outcome: Outcome, *, status: int) -> Response:
        enrollment = outcome.enrollment
        assert enrollment is not None  # an accepted act has one
        address = reverse("student-course", args=[enrollment.student_id, enrollment.course_id])
        headers = {"Location": self.request.build_absolute_uri(address)}
        return Response(EnrollmentSerializer(enrollment).data, status, headers=headers if status == 201 else None)


class RosterViewSet(mixins.ListModelMixin, GenericViewSet[StudentCourse]):
    """A course's roster."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = StudentCourse.objects.with_parties()
    serializer_class = EnrollmentSerializer
    filterset_class = RosterFilter
    search_fields = ["student__student_number", "student__given_name", "student__family_name"]
    ordering_fields = {"id": "id", "updated_at": "updated_at", "family_name": "student__family_name"}
    ordering = "id"

    def get_queryset(self) -> QuerySet[StudentCourse]:
        return super().get_queryset().filter(course=find_course(self.kwargs["course_id"]))
