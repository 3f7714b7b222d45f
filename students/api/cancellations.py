"""The API view that cancels a course, and undoes this."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from bulk.api.serializers import UndoSerializer
from courses.lookup import find_course
from courses.models import Course
from school.access.row_scope import check_in_scope
from school.api.base_views import RowScopeMixin
from school.api.permissions import MissingPermission, is_permitted, row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.serializers import parse_body
from students.api.actor import actor_from_request
from students.api.serializers.cancellations import CancellationResultSerializer, CourseCancellationSerializer
from students.api.visible_rows import count_visible
from students.enrollment import cancel_course, preview_cancellation, preview_undo, undo_cancellation
from students.enrollment.cancellation import CancellationResult

ENROLLMENT_SCOPE, ENROLLMENT_PERMISSION = "enrollments:write", "students.change_studentcourse"


class CancellationViewSet(RowScopeMixin, StrictQueryMixin, GenericViewSet[Course]):
    """The cancellation of a course. It changes the course and enrollments, so it requires both scopes."""

    scope = "courses"
    permission_model = Course
    method_permissions = {"POST": "change"}
    queryset = Course.objects.select_related("term")
    more_problems = {"POST": {404}}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not is_permitted(request, ENROLLMENT_SCOPE, ENROLLMENT_PERMISSION):
            raise MissingPermission(request, ENROLLMENT_SCOPE, [ENROLLMENT_PERMISSION])

    @extend_schema(request=CourseCancellationSerializer, responses=CancellationResultSerializer)
    def cancel(self, request: Request, course_id: str) -> Response:
        """
        Cancel a course: it becomes inactive, and all its open enrollments are dropped with the reason.

        No seat of the course is given to anybody. After the drop deadline enrolled students are marked withdrawn. A
        repetition changes nothing.
        """
        data = parse_body(CourseCancellationSerializer, request.data).validated_data
        act = preview_cancellation if data["dry_run"] else cancel_course
        return _response(request, act(self._course_id(), actor=actor_from_request(request), reason=data["reason"]))

    @extend_schema(request=UndoSerializer, responses=CancellationResultSerializer)
    def undo(self, request: Request, course_id: str) -> Response:
        """
        Undo the cancellation of a course as a whole.

        Free seats are then given to waitlisted students.
        """
        is_dry_run = parse_body(UndoSerializer, request.data).validated_data["dry_run"]
        act = preview_undo if is_dry_run else undo_cancellation
        return _response(request, act(self._course_id(), actor=actor_from_request(request)))

    def _course_id(self) -> int:
        course = find_course(self.kwargs["course_id"], self.get_queryset())
        check_in_scope(course, row_scope_of(self.request))
        return course.pk


def _response(request: Request, result: CancellationResult) -> Response:
    numbers = {"enrolled": result.enrolled, "waitlisted": result.waitlisted, "kept": result.kept}
    losing = count_visible(request, result.preview.losing_corequisites)
    return Response({**numbers, "promoted": result.promoted, "losing_corequisites": losing})
