"""The outcomes of a batch as JSON of a limited size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from school.api.batch_bodies import MAX_FULL_OUTCOMES, add_reasons
from school.http.problems import shorten_reason
from school.refusals import Refusal
from students.api.serializers.enrollments import EnrollmentSerializer
from students.models import Status, StudentCourse


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """The outcome of an item: its status, and either the enrollment or the reasons why the item failed."""

    status: str
    reasons: Sequence[Refusal] = ()
    enrollment: StudentCourse | None = None


def serialize_outcomes(outcomes: Sequence[ItemOutcome], *, is_preview: bool = False) -> list[dict[str, Any]]:
    """
    Return the outcomes of a batch for the response, with at most ``MAX_BYTES`` bytes in total.

    The outcomes of a preview and of a batch with more than ``MAX_FULL_OUTCOMES`` items have enrollments with id and
    status only; in a preview, a new enrollment has no id, and the enrollments are not in the database as they are. From
    the first outcome on, the reasons are in full, until the reasons of the next outcome would exceed the limit.
    """
    is_large = len(outcomes) > MAX_FULL_OUTCOMES
    enrollments = {} if is_preview else _serialize_enrollments(outcomes, full=not is_large)

    def enrollment_of(outcome: ItemOutcome) -> Any:
        row = outcome.enrollment
        return row and ({"id": row.pk, "status": row.status} if is_preview else enrollments[row.pk])

    rendered = [
        (_brief_outcome if is_large or each.reasons else _full_outcome)(index, each, enrollment_of(each))
        for index, each in enumerate(outcomes)
    ]
    failed = [index for index, each in enumerate(outcomes) if each.reasons]
    add_reasons(rendered, failed, lambda index: _full_outcome(index, outcomes[index], None))
    return rendered


def _brief_outcome(index: int, outcome: ItemOutcome, enrollment: Any) -> dict[str, Any]:
    rendered: dict[str, Any] = {"index": index, "status": outcome.status}
    if outcome.reasons:
        rendered["code"] = outcome.reasons[0].code
    if enrollment:
        rendered["enrollment"] = enrollment
    return rendered


def _full_outcome(index: int, outcome: ItemOutcome, enrollment: Any) -> dict[str, Any]:
    reasons = [shorten_reason(reason) for reason in outcome.reasons]
    return {
        "index": index,
        "status": outcome.status,
        "code": outcome.reasons[0].code if outcome.reasons else None,
        "message": " ".join(reason.message for reason in reasons),
        "errors": [reason.as_error() for reason in reasons],
        "enrollment": enrollment,
    }


def _serialize_enrollments(outcomes: Iterable[ItemOutcome], *, full: bool) -> dict[int, Any]:
    """Return the enrollments after the batch in JSON, by id. Each is serialized once, even if many items changed it."""
    rendered = {each.enrollment.pk: each.enrollment for each in outcomes if each.enrollment}
    waitlisted_ids = [pk for pk, enrollment in rendered.items() if enrollment.status == Status.WAITLISTED]
    if waitlisted_ids:  # this query also reads the waitlist positions
        rows = StudentCourse.objects.with_details() if full else StudentCourse.objects.only("status")
        rendered |= {each.pk: each for each in rows.filter(pk__in=waitlisted_ids)}
    if not full:
        return {pk: {"id": pk, "status": enrollment.status} for pk, enrollment in rendered.items()}
    return {row["id"]: row for row in EnrollmentSerializer(rendered.values(), many=True).data}
