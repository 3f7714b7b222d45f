"""Many acts in one request."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from school.api.idempotency import idempotent
from school.api.problems import CONTENT_TYPE, problem, status_of
from school.refusals import Refusal
from students.acts import Act, Outcome
from students.enrollment import judge, perform, perform_all
from students.models import Action, Status, StudentCourse
from students.serializers.batch import (
    BatchOutcomeSerializer,
    BatchProblemSerializer,
    BatchSerializer,
    Unreadable,
    outcome_in_json,
    read_items,
)
from students.serializers.enrollments import EnrollmentSerializer
from students.views.origin import origin_of
from students.views.reads import courses_for

APPLIED = {"created", "updated", "unchanged"}


class BatchView(APIView):
    """Up to 1,000 acts on enrollments, done in their order, with an outcome for each."""

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
        Enroll, drop and complete. 200 says that all items are as they were asked to be, 207 some, 422 none.

        With `atomic` either all are done or none.
        """
        batch = BatchSerializer(data=request.data)
        batch.is_valid(raise_exception=True)
        items = read_items(batch.validated_data["items"], courses_for(request))
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
        outcomes = list(_told(items, done, is_undone=is_undone))
        applied = [outcome["status"] in APPLIED for outcome in outcomes]
        if not any(applied):
            message = _("Nothing of the batch was applied: see the outcome of each item.")
            answer = problem(422, [Refusal("nothing_applied", message, _("Nothing applied"))])
            return Response({**answer, "outcomes": outcomes}, 422, content_type=CONTENT_TYPE)
        return Response({"outcomes": outcomes}, 200 if all(applied) else 207)


def _told(items: Sequence[Act | Unreadable], done: Sequence[Outcome], *, is_undone: bool) -> Iterator[dict[str, Any]]:
    """Say what became of each item. ``is_undone`` says that nothing did."""
    of_acts = iter(done)
    enrollments = {} if is_undone else _enrollments_in_json(done)
    for index, item in enumerate(items):
        if isinstance(item, Unreadable):
            yield outcome_in_json(index, item.status, item.reasons)
            continue
        outcome = next(of_acts)
        if outcome.refusals:
            status = "not_found" if status_of(outcome.refusals) == 404 else "refused"
            yield outcome_in_json(index, status, outcome.refusals)
        elif is_undone:
            yield outcome_in_json(index, "not_applied", ())
        else:
            assert outcome.enrollment is not None  # an accepted act has one
            status = "unchanged"
            if outcome.changed:
                status = "created" if outcome.act.action == Action.ENROLL else "updated"
            yield outcome_in_json(index, status, (), enrollments[outcome.enrollment.pk])


def _enrollments_in_json(done: Sequence[Outcome]) -> dict[int, Any]:
    """Return the enrollments of a batch as the batch has left them, each shown once, whatever its items did to it."""
    shown = {outcome.enrollment.pk: outcome.enrollment for outcome in done if outcome.accepted and outcome.enrollment}
    waiting = [pk for pk, enrollment in shown.items() if enrollment.status == Status.WAITLISTED]
    if waiting:  # their places in line, in one query
        shown |= {each.pk: each for each in StudentCourse.objects.with_parties().filter(pk__in=waiting)}
    rows = EnrollmentSerializer(shown.values(), many=True).data
    return {row["id"]: row for row in rows}
