"""Enrollments as lists: all of them, the roster of a course, what happened to one, and the change feed."""

from typing import Any, NoReturn

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from courses.lookup import find_course
from courses.models import Course
from school.api.conditional import ConditionalReads, State
from school.api.pagination import order_columns, refuse_parts
from school.api.permissions import limits_of
from school.api.renderers import CsvRenderer
from school.api.views import WithinLimits
from school.disclosures import Subject, record_export
from school.limits import within
from students.changes import read_changes
from students.filters import EnrollmentFilter, RosterFilter
from students.models import EnrollmentEvent, StudentCourse
from students.rosters import roster_lines
from students.serializers import (
    ChangesQuerySerializer,
    ChangesSerializer,
    EnrollmentEventSerializer,
    EnrollmentSerializer,
)
from students.views.reads import EnrollmentReads, courses_for


class EnrollmentViewSet(EnrollmentReads, GenericViewSet[StudentCourse]):
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


class RosterViewSet(EnrollmentReads, GenericViewSet[StudentCourse]):
    """A course's roster."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = StudentCourse.objects.with_parties()
    serializer_class = EnrollmentSerializer
    filterset_class = RosterFilter
    renderer_classes = [JSONRenderer, CsvRenderer]
    search_fields = ["student__student_number", "student__given_name", "student__family_name"]
    ordering_fields = {"id": "id", "updated_at": "updated_at", "family_name": "student__family_name"}
    ordering = "id"

    @cached_property
    def course(self) -> Course:
        return find_course(self.kwargs["course_id"], courses_for(self.request))

    def get_queryset(self) -> QuerySet[StudentCourse]:
        return super().get_queryset().filter(course=self.course)

    @extend_schema(
        responses={
            (200, "application/json"): EnrollmentSerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
        }
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """List who takes the course, page by page; or with `Accept: text/csv` all of them as one file."""
        if request.accepted_renderer.media_type != CsvRenderer.media_type:
            return super().list(request, *args, **kwargs)
        refuse_parts(request)
        record_export(request, Subject.ROSTER, course_id=self.course.pk)
        rows = self.filter_queryset(self.get_queryset()).order_by(*order_columns(request, self))
        headers = {"Content-Disposition": 'attachment; filename="roster.csv"'}
        lines = roster_lines(rows.iterator(chunk_size=2_000))
        return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


class EnrollmentEventsViewSet(WithinLimits, ConditionalReads, GenericViewSet[EnrollmentEvent]):
    """What happened to an enrollment, from its beginning on."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = EnrollmentEvent.objects.select_related("actor")
    serializer_class = EnrollmentEventSerializer
    ordering_fields = {"id": "id"}
    ordering = "id"

    def get_queryset(self) -> QuerySet[EnrollmentEvent]:
        enrollments = within(StudentCourse.objects.all(), limits_of(self.request))
        enrollment = get_object_or_404(enrollments, pk=self.kwargs["pk"])
        return super().get_queryset().filter(enrollment=enrollment)

    def state_of(self, row: EnrollmentEvent) -> State:
        return (row.pk, row.actor and row.actor.get_username())  # a line never changes, but for the actor's name


class ChangesView(APIView):
    """Every change of every enrollment, drops included, in order and none missed."""

    scope = "changes"
    permission_model = EnrollmentEvent
    more_problems = {"GET": {400, 410}}

    def permission_denied(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        """There is no scope to write changes: whoever is known is told that nobody does."""
        if request.user.is_authenticated and request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))
        super().permission_denied(request, *args, **kwargs)

    @extend_schema(operation_id="changes_list", parameters=[ChangesQuerySerializer], responses=ChangesSerializer)
    def get(self, request: Request) -> Response:
        """
        Read on from a cursor. The answer has the cursor to come back with, also where there is nothing to read.

        With `wait` the answer is held until something happens, for that many seconds at most.
        """
        query = ChangesQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        limits = limits_of(request)
        page = read_changes(asked["after"], asked["limit"], wait=asked["wait"], limits=limits)
        return Response(ChangesSerializer(page).data)
