"""The API view for batches of acts."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from school.api.idempotency import idempotent
from school.api.query_parameters import StrictQuery
from school.http.problems import CONTENT_TYPE, problem, status_of
from school.refusals import Refusal
from students.api.actor import origin_of
from students.api.base import courses_for, students_for, students_to_enroll
from students.api.serializers.batch import (
    BatchOutcomeSerializer,
    BatchProblemSerializer,
    BatchSerializer,
    ItemOutcome,
    Unreadable,
    outcomes_in_json,
    read_items,
)
from students.enrollment import judge, perform, perform_all
from students.enrollment.commands import Act, Outcome
from students.models import StudentCourse


class BatchView(StrictQuery, APIView):
    """Up to 1,000 acts on enrollments, performed in their order, with an outcome for each."""

    scope = "enrollments"
    permission_model = StudentCourse
    method_permissions = {"POST": ("add", "change")}

    @extend_schema(
        operation_id="enrollments_batch",
        request=BatchSerializer,
        responses={
            200: OpenApiResponse(BatchOutcomeSerializer, "All applied"),
            207: OpenApiResponse(BatchOutcomeSerializer, "Some applied, some not"),
            (422, CONTENT_TYPE): OpenApiResponse(BatchProblemSerializer, "None applied"),
        },
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """
        Enroll, drop and complete in one request.

        The status is 200 if all items are now as requested, 207 if some are, and 422 if none is. With `atomic`, either
        all items are applied or none is.
        """
        batch = BatchSerializer(data=request.data)
        batch.is_valid(raise_exception=True)
        items = read_items(
            batch.validated_data["items"], courses_for(request), students_for(request), students_to_enroll(request)
        )
        acts = [item for item in items if isinstance(item, Act)]
        origin = origin_of(request)
        is_atomic = batch.validated_data["atomic"]
        if not is_atomic:
            done = perform(acts, origin)
        elif len(acts) == len(items):
            done = perform_all(acts, origin)
        else:
            done = judge(acts, origin)
        is_undone = is_atomic and not (len(acts) == len(items) and all(outcome.accepted for outcome in done))
        found = list(_outcomes(items, done, is_undone=is_undone))
        applied = [outcome.enrollment is not None for outcome in found]
        outcomes = outcomes_in_json(found)
        if not any(applied):
            message = _("No item of the batch was applied. See the outcome of each item.")
            answer = problem(422, [Refusal("nothing_applied", message, _("Nothing applied"))])
            return Response({**answer, "outcomes": outcomes}, 422, content_type=CONTENT_TYPE)
        return Response({"outcomes": outcomes}, 200 if all(applied) else 207)


def _outcomes(items: Sequence[Act | Unreadable], done: Sequence[Outcome], *, is_undone: bool) -> Iterator[ItemOutcome]:
    """Yield the outcome of each item. ``is_undone`` is True if nothing was applied because another item failed."""
    of_acts = iter(done)
    for item in items:
        if isinstance(item, Unreadable):
            yield ItemOutcome(item.status, item.reasons)
            continue
        outcome = next(of_acts)
        if outcome.refusals:
            yield ItemOutcome("not_found" if status_of(outcome.refusals) == 404 else "refused", outcome.refusals)
        elif is_undone:
            yield ItemOutcome("not_applied")
        else:
            status = "created" if outcome.created else "updated" if outcome.changed else "unchanged"
            yield ItemOutcome(status, enrollment=outcome.enrollment)
