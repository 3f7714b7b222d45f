"""Enrollments as lists: all of them, the roster of a course, what happened to one, and the change feed."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from courses.lookup import find_course
from school.api.conditional import ConditionalReads, State
from students.changes import read_changes
from students.filters import EnrollmentFilter, RosterFilter
from students.models import EnrollmentEvent, StudentCourse
from students.serializers import (
    ChangesQuerySerializer,
    ChangesSerializer,
    EnrollmentEventSerializer,
    EnrollmentSerializer,
)
from students.views.tagged import TaggedEnrollments


class EnrollmentViewSet(TaggedEnrollments, GenericViewSet[StudentCourse]):
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


class RosterViewSet(TaggedEnrollments, GenericViewSet[StudentCourse]):
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


class EnrollmentEventsViewSet(ConditionalReads, GenericViewSet[EnrollmentEvent]):
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

    def state_of(self, row: EnrollmentEvent) -> State:
        return (row.pk, row.actor and row.actor.get_username())  # a line never changes, but for the actor's name


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
