"""Reports decided acts to the metrics, the application log and the log of refusals."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from django.db import transaction

from school.observability import metrics
from students.enrollment import refusal_log
from students.enrollment.commands import Origin, Outcome
from students.enrollment.context import BY_ITSELF
from students.models import Action, Channel, EnrollmentEvent, StudentCourse

logger = structlog.get_logger(__name__)

LOG_NAMES: dict[str, str] = {
    Action.ENROLL: "enrollment_created",
    Action.DROP: "enrollment_dropped",
    Action.COMPLETE: "enrollment_completed",
    Action.UNDO: "enrollment_undone",
    Action.PROMOTE: "enrollment_promoted",
    Action.PASS_OVER: "enrollment_passed_over",
}


def count(outcomes: Sequence[Outcome], events: Sequence[EnrollmentEvent], *, done: bool) -> None:
    """
    Count the refusals by code and, if the acts were ``done``, the events by action and channel.

    The metrics are updated after the transaction is committed.
    """
    acts = Counter((str(event.action), str(event.channel)) for event in events if done)
    refusals = Counter(refusal.code for outcome in outcomes for refusal in outcome.refusals)
    transaction.on_commit(partial(metrics.count_commands, acts, refusals))


def report(
    outcomes: Sequence[Outcome], origin: Origin, events: Sequence[EnrollmentEvent] = (), *, done: bool = True
) -> None:
    """
    Record the refusals immediately, and log outcomes and promotions after the transaction is committed.

    Acts of imports and commands are not logged one by one: each run logs one entry, and the acts need not stay in
    memory until the commit.
    """
    refusal_log.remember(outcomes, origin)
    if origin.channel not in (Channel.IMPORT, Channel.COMMAND):
        transaction.on_commit(partial(_log, outcomes, origin, events, done))


def _log(outcomes: Sequence[Outcome], origin: Origin, events: Sequence[EnrollmentEvent], done: bool) -> None:
    """Log each refusal, and each act that was done with the promotions that followed, by ids only."""
    for outcome in outcomes:
        log = _logger(outcome.act.pair, outcome.enrollment, origin)
        if outcome.refusals:
            codes = [refusal.code for refusal in outcome.refusals]
            log.info("enrollment_refused", action=str(outcome.act.action), codes=codes)
        elif outcome.changed and done:
            log.info(LOG_NAMES[outcome.act.action])
    for event in events:
        if event.action in BY_ITSELF and done:
            log = _logger(event.enrollment.pair, event.enrollment, origin)
            log.info(LOG_NAMES[event.action], codes=event.refusals)


def _logger(pair: tuple[int, int], enrollment: StudentCourse | None, origin: Origin) -> Any:
    student_id, course_id = pair
    return logger.bind(
        student_id=student_id,
        course_id=course_id,
        enrollment_id=enrollment and enrollment.pk,
        actor_id=origin.actor_id,
        channel=str(origin.channel),
    )
