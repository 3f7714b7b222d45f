"""API views that list enrollments, the roster of a course, the journal of an enrollment, and the change feed."""

from collections.abc import Hashable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from courses.lookup import find_course
from courses.models import Course
from school.access.access_log import Subject, record_export
from school.access.row_scope import filter_by_scope
from school.api.fields import parse_body
from school.api.pagination import order_columns, refuse_page_parameters
from school.api.permissions import row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.renderers import BOM_OPENAPI_PARAMETER, CsvRenderer, wants_bom
from school.api.row_json import encode_json, json_response
from school.api.row_responses import ConditionalReadMixin
from school.api.views import RowScopeMixin
from school.http.csv_response import csv_response
from school.validators import parse_id
from students.api.base import EnrollmentReadViewSet, visible_courses
from students.api.filters import EnrollmentFilter, RosterFilter
from students.api.serializers import (
    ChangesQuerySerializer,
    ChangesSerializer,
    EnrollmentEventSerializer,
    EnrollmentSerializer,
    change_template,
)
from students.events.feed import read_changes
from students.exports import stream_roster_csv
from students.models import EnrollmentEvent, StudentCourse


class EnrollmentViewSet(EnrollmentReadViewSet):
    """The list of all enrollments, for programs that synchronize with School, and a single enrollment."""

    filterset_class = EnrollmentFilter
    ordering_fields = {"id": "id", "updated_at": "updated_at"}

    def get_object(self) -> StudentCourse:
        # Do not apply the filters to a single enrollment: without a ``status`` in the query, the filters hide ended
        # enrollments.
        return get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])


class RosterViewSet(EnrollmentReadViewSet):
    """The roster of a course."""

    filterset_class = RosterFilter
    renderer_classes = [JSONRenderer, CsvRenderer]
    search_fields = ["student__student_number", "student__given_name", "student__family_name"]
    ordering_fields = {"id": "id", "updated_at": "updated_at", "family_name": "student__family_name"}

    @cached_property
    def course(self) -> Course:
        return find_course(self.kwargs["course_id"], visible_courses(self.request))

    def get_queryset(self) -> QuerySet[StudentCourse]:
        return super().get_queryset().filter(course_id=self.parameter("course"))

    def parameter_values(self) -> dict[str, Any]:
        return {"course": parse_id(self.kwargs["course_id"]) or self.course.pk}

    def check_parent_exists(self) -> None:
        assert self.course  # ``find_course`` raises ``Refused`` if the course does not exist.

    @extend_schema(
        parameters=[BOM_OPENAPI_PARAMETER],
        responses={
            (200, "application/json"): EnrollmentSerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """List the enrollments in the course, page by page, or with `Accept: text/csv` all of them as one file."""
        if request.accepted_renderer.media_type != CsvRenderer.media_type:
            response = super().list(request, *args, **kwargs)
            wants_bom(request)  # JSON has no byte order mark, but an invalid value of ``bom`` is still an error.
            return response
        refuse_page_parameters(request)
        self.check_parent_exists()
        rows = self.filter_queryset(self.get_queryset()).order_by(*order_columns(request, self))
        with_bom = wants_bom(request)
        record_export(request, Subject.ROSTER, course_id=self.course.pk)
        lines = stream_roster_csv(rows.iterator(chunk_size=2_000))
        return csv_response(lines, "roster.csv", with_bom=with_bom)


class EnrollmentEventsViewSet(RowScopeMixin, StrictQueryMixin, ConditionalReadMixin, GenericViewSet[EnrollmentEvent]):
    """The journal entries of one enrollment, from the oldest to the newest."""

    scope = "enrollments"
    permission_model = StudentCourse
    queryset = EnrollmentEvent.objects.select_related("actor")
    serializer_class = EnrollmentEventSerializer
    ordering_fields = {"id": "id"}
    ordering = "id"

    def query_cache_key(self) -> Hashable:
        return ()

    def get_queryset(self) -> QuerySet[EnrollmentEvent]:
        return super().get_queryset().filter(enrollment_id=self.parameter("enrollment"))

    def parameter_values(self) -> dict[str, Any]:
        return {"enrollment": self.kwargs["pk"]}

    def check_parent_exists(self) -> None:
        get_object_or_404(
            filter_by_scope(StudentCourse.objects.all(), row_scope_of(self.request)), pk=self.kwargs["pk"]
        )


class ChangesView(StrictQueryMixin, APIView):
    """The change feed: every change of every enrollment, including drops, in order and without gaps."""

    scope = "changes"
    permission_model = EnrollmentEvent
    more_problems = {"GET": {400, 410}}

    def allowed_parameters(self) -> None:
        """``ChangesQuerySerializer`` checks the names of the query parameters."""

    def check_permissions(self, request: Request) -> None:
        """
        Raise ``MethodNotAllowed`` if an authenticated caller sends anything but a read: no scope allows writing
        changes.
        """
        if request.user.is_authenticated and request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))
        super().check_permissions(request)

    @extend_schema(operation_id="changes_list", parameters=[ChangesQuerySerializer], responses=ChangesSerializer)
    def get(self, request: Request) -> HttpResponse:
        """
        Return the changes after a cursor. The response has the cursor for the next request, even without changes.

        With `wait`, the response is held until there is a change, for at most that many seconds.
        """
        parameters = parse_body(ChangesQuerySerializer, request.query_params.dict()).validated_data
        row_scope = row_scope_of(request)
        template = change_template(is_limited=row_scope is not None and row_scope.is_client)
        page = read_changes(
            parameters["after"],
            parameters["limit"],
            lambda: template.expressions,
            shape="limited" if template.computed else "full",
            wait=parameters["wait"],
            row_scope=row_scope,
        )
        header = encode_json({"cursor": page.cursor, "has_more": page.has_more})
        results = ",".join([template.render(request, entry.columns) for entry in page.entries])
        return json_response(f'{header[:-1]},"results":[{results}]}}')
