"""The API view of a course's roster: its enrollments with their students."""

from typing import Any

from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from courses.lookup import find_course
from courses.models import Course
from school.access.access_log import Subject, record_export
from school.api.csv_renderer import BOM_OPENAPI_PARAMETER, CsvRenderer, wants_bom
from school.api.pagination import order_columns, refuse_page_parameters
from school.http.csv_response import csv_response
from school.identifiers import parse_id
from students.api.base_views import EnrollmentReadViewSet
from students.api.filters import RosterFilter, as_of_instant
from students.api.serializers import (
    EnrollmentSerializer,
)
from students.api.visible_rows import visible_courses
from students.events.as_of import iterate_as_of, with_past_positions
from students.exports import stream_roster_csv
from students.models import StudentCourse


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
        with_bom, as_of = wants_bom(request), as_of_instant(request, self)
        record_export(request, Subject.ROSTER, course_id=self.course.pk)
        rows = rows if as_of is None else with_past_positions(rows)
        lines = stream_roster_csv(iterate_as_of(rows.iterator(chunk_size=2_000), as_of, self.course.pk))
        return csv_response(lines, "roster.csv", with_bom=with_bom)
