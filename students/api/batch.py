"""The API view for batches of commands on enrollments."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from school.api.idempotency import idempotent
from school.api.query_parameters import StrictQueryMixin
from school.http.problems import CONTENT_TYPE, problem, status_of
from school.refusals import Refusal
from students.api.actor import actor_from_request
from students.api.batch_items import InvalidItem, parse_items
from students.api.batch_outcomes import ItemOutcome, serialize_outcomes
from students.api.serializers.batch import BatchOutcomeSerializer, BatchProblemSerializer, BatchSerializer
from students.api.visible_rows import count_visible, enrollable_students, visible_courses, visible_students
from students.enrollment import execute, execute_atomic, preview_commands
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.outcomes import Outcome
from students.models import StudentCourse


class BatchView(StrictQueryMixin, APIView):
    """Executes up to 1,000 commands in the order of the request, and answers with an outcome for each command."""

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

        The status of the response is 200 if all items are now as requested, 207 if some are, and 422 if none is. With
        `atomic`, either all items are applied or none is. With `dry_run` nothing is applied.
        """
        batch = BatchSerializer(data=request.data)
        batch.is_valid(raise_exception=True)
        items = parse_items(
            batch.validated_data["items"],
            visible_courses(request),
            visible_students(request),
            enrollable_students(request),
        )
        commands = [item for item in items if isinstance(item, EnrollmentCommand)]
        actor = actor_from_request(request)
        is_atomic = batch.validated_data["atomic"]
        is_preview = batch.validated_data["dry_run"]
        counts: dict[str, int] = {}
        if is_preview or (is_atomic and len(commands) < len(items)):
            preview = preview_commands(commands, actor, together=is_atomic)
            outcomes = [planned.outcome for planned in preview.planned_actions]
            if is_preview:
                counts["losing_prerequisites"] = count_visible(request, preview.losing_prerequisites)
                counts["losing_corequisites"] = count_visible(request, preview.losing_corequisites)
        else:
            outcomes = (execute_atomic if is_atomic else execute)(commands, actor)
        rolled_back = is_atomic and not (len(commands) == len(items) and all(outcome.accepted for outcome in outcomes))
        item_outcomes = list(_item_outcomes(items, outcomes, rolled_back=rolled_back))
        applied = [outcome.enrollment is not None for outcome in item_outcomes]
        serialized = serialize_outcomes(item_outcomes, is_preview=is_preview)
        if not any(applied):
            message = _("No item of the batch was applied. See the outcome of each item.")
            body = problem(422, [Refusal("nothing_applied", message, _("Nothing applied"))])
            return Response({**body, "outcomes": serialized}, 422, content_type=CONTENT_TYPE)
        return Response({"outcomes": serialized, **counts}, 200 if all(applied) else 207)


def _item_outcomes(
    items: Sequence[EnrollmentCommand | InvalidItem], outcomes: Sequence[Outcome], *, rolled_back: bool
) -> Iterator[ItemOutcome]:
    """Yield the outcome of each item. ``rolled_back`` is True if nothing was applied because another item failed."""
    remaining = iter(outcomes)
    for item in items:
        if isinstance(item, InvalidItem):
            yield ItemOutcome(item.status, item.reasons)
            continue
        outcome = next(remaining)
        if outcome.refusals:
            yield ItemOutcome("not_found" if status_of(outcome.refusals) == 404 else "refused", outcome.refusals)
        elif rolled_back:
            yield ItemOutcome("not_applied")
        else:
            status = "created" if outcome.created else "updated" if outcome.changed else "unchanged"
            yield ItemOutcome(status, enrollment=outcome.enrollment)
