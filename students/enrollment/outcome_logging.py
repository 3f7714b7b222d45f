"""Counts the outcomes of commands in the metrics, and writes them to the application log and to the log of refusals."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from django.db import transaction

from school.observability import metrics
from students.enrollment import refusal_log
from students.enrollment.actor_context import ActorContext
from students.enrollment.decision_context import SYSTEM_ACTIONS
from students.enrollment.outcomes import Outcome
from students.models import Action, Channel, EnrollmentEvent, StudentCourse

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
DROP = Action.DROP

logger = structlog.get_logger(__name__)

LOG_EVENTS: dict[str, str] = {
    Action.ENROLL: "enrollment_created",
    DROP: "enrollment_dropped",
    Action.COMPLETE: "enrollment_completed",
    Action.UNDO: "enrollment_undone",
    Action.PROMOTE: "enrollment_promoted",
    Action.PASS_OVER: "enrollment_passed_over",
}


def count_metrics(outcomes: Sequence[Outcome], events: Sequence[EnrollmentEvent], *, committed: bool) -> None:
    """
    Count the refusals by code and, if the batch was ``committed``, the events by action and channel.

    The metrics are updated after the transaction is committed.
    """
    event_counts = Counter((str(event.action), str(event.channel)) for event in events if committed)
    refusals = Counter(refusal.code for outcome in outcomes for refusal in outcome.refusals)
    transaction.on_commit(partial(metrics.count_commands, event_counts, refusals))


def report_outcomes(
    outcomes: Sequence[Outcome], actor: ActorContext, events: Sequence[EnrollmentEvent] = (), *, committed: bool = True
) -> None:
    """
    Record the refusals immediately, and log outcomes and promotions after the transaction is committed.

    Outcomes of imports and management commands are not logged one by one, because each run logs one entry. So they need
    not be kept in memory until the commit.
    """
    refusal_log.record(outcomes, actor)
    if actor.channel not in (Channel.IMPORT, Channel.COMMAND):
        transaction.on_commit(partial(_log, outcomes, actor, events, committed))


def _log(outcomes: Sequence[Outcome], actor: ActorContext, events: Sequence[EnrollmentEvent], committed: bool) -> None:
    """Log each refusal, and each committed change with the changes that followed, by ids only."""
    requested = {outcome.command.key for outcome in outcomes}
    for outcome in outcomes:
        log = _logger(outcome.command.key, outcome.enrollment, actor)
        if outcome.refusals:
            codes = [refusal.code for refusal in outcome.refusals]
            log.info("enrollment_refused", action=str(outcome.command.action), codes=codes)
        elif outcome.changed and committed:
            log.info(LOG_EVENTS[outcome.command.action])
    for event in events:
        if committed and (
            event.action in SYSTEM_ACTIONS or (event.action == DROP and event.enrollment.key not in requested)
        ):
            log = _logger(event.enrollment.key, event.enrollment, actor)
            log.info(LOG_EVENTS[event.action], codes=event.refusals)


def _logger(key: tuple[int, int], enrollment: StudentCourse | None, actor: ActorContext) -> Any:
    student_id, course_id = key
    return logger.bind(
        student_id=student_id,
        course_id=course_id,
        enrollment_id=enrollment and enrollment.pk,
        actor_id=actor.actor_id,
        channel=str(actor.channel),
    )
