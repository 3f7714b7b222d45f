"""
Enroll, drop, complete, undo, and promote who waits: the verbs, and the only writers of ``StudentCourse``.

Each verb locks the courses, reads the facts once, decides every act by ``students.rules``, writes, and journals, in
one transaction. One act is a batch of one, and ``judge`` asks what would happen by the same path.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

from django.db import transaction

from courses.models import Course
from school import metrics
from school.refusals import Refused
from school.retry import retried
from students.acts import Act, OnFull, Origin, Outcome
from students.enrollment import refused
from students.enrollment.forecast import Forecast, forecast_of
from students.enrollment.glance import at_a_glance, remember
from students.enrollment.grouped import in_company, may_be_grouped
from students.enrollment.ledger import Ledger, log_outcome
from students.facts import lock_and_read
from students.models import Action, Channel, StudentCourse
from students.register import Register


def enroll(
    *,
    student_id: int,
    course_id: int,
    origin: Origin,
    reason: str = "",
    on_full: OnFull = OnFull.REJECT,
    waive: Collection[str] = (),
) -> Outcome:
    """
    Give the student a seat, or a place in line with ``on_full``, or find the one already held.

    Raise ``Refused`` with every reason that is not waived.
    """
    return _one(Act(Action.ENROLL, student_id, course_id, None, reason, on_full, frozenset(waive)), origin)


def drop(
    *, student_id: int, course_id: int, origin: Origin, reason: str = "", expected: tuple[int, int] | None = None
) -> Outcome:
    """
    Give the seat back: dropped by the term's drop deadline, withdrawn after it. Raise ``Refused``.

    ``expected`` has the id and the version that the enrollment must have.
    """
    return _one(Act(Action.DROP, student_id, course_id, reason=reason, expected=expected), origin)


def complete(
    *,
    student_id: int,
    course_id: int,
    origin: Origin,
    grade: str | None = None,
    reason: str = "",
    expected: tuple[int, int] | None = None,
) -> Outcome:
    """
    End the enrollment as completed, or correct the grade of a completed one. Raise ``Refused``.

    ``expected`` has the id and the version that the enrollment must have.
    """
    return _one(Act(Action.COMPLETE, student_id, course_id, grade, reason, expected=expected), origin)


def undo(*, student_id: int, course_id: int, origin: Origin, reason: str = "") -> Outcome:
    """Take back the newest act on the newest enrollment of the student in the course. Raise ``Refused``."""
    return _one(Act(Action.UNDO, student_id, course_id, reason=reason), origin)


def enroll_many(
    pairs: Iterable[tuple[int, int]], *, origin: Origin, reason: str = "", on_full: OnFull = OnFull.REJECT
) -> list[Outcome]:
    """Enroll (student id, course id) pairs in their order; an outcome for each."""
    return perform([Act(Action.ENROLL, *pair, None, reason, on_full) for pair in pairs], origin)


def drop_many(pairs: Iterable[tuple[int, int]], *, origin: Origin, reason: str = "") -> list[Outcome]:
    """Drop (student id, course id) pairs in their order; an outcome for each."""
    return perform([Act(Action.DROP, *pair, reason=reason) for pair in pairs], origin)


def complete_many(
    pairs: Iterable[tuple[int, int]], *, origin: Origin, grade: str | None = None, reason: str = ""
) -> list[Outcome]:
    """Complete (student id, course id) pairs in their order, all with one grade; an outcome for each."""
    return perform([Act(Action.COMPLETE, *pair, grade, reason) for pair in pairs], origin)


def undo_many(pairs: Iterable[tuple[int, int]], *, origin: Origin, reason: str = "") -> list[Outcome]:
    """Take back the newest act on each (student id, course id) pair, in their order; an outcome for each."""
    return perform([Act(Action.UNDO, *pair, reason=reason) for pair in pairs], origin)


@retried
@transaction.atomic
def undo_together(acts: Sequence[Act], origin: Origin) -> list[Outcome]:
    """
    Take acts back as one: a seat that one of them frees is there for the others.

    Nobody who waits is given it: that is what ``promote`` is for, once all is taken back.
    """
    ledger = Ledger(Register(), origin)
    lock_and_read(acts, ledger.register, origin)
    for act in acts:
        ledger.decide(act, promoting=False)
    ledger.write()
    return ledger.outcomes


@retried
@transaction.atomic
def promote(course_ids: Collection[int], *, origin: Origin) -> list[StudentCourse]:
    """
    Give the free seats of courses to who waits for them, and return who got one.

    For whatever frees a seat, or makes who waits eligible, without being an act on an enrollment of the course: more
    seats, a course or a student active again, a window that has opened.
    """
    ledger = Ledger(Register(), origin)
    lock_and_read([], ledger.register, origin, course_ids=course_ids)
    for course_id in sorted(ledger.register.courses):
        ledger.promote(course_id)
    ledger.write()
    transaction.on_commit(partial(metrics.count, *ledger.tally(done=True)))
    transaction.on_commit(ledger.log)
    return [event.enrollment for event in ledger.events if event.action == Action.PROMOTE]


def courses_waited_for(student_ids: Iterable[int]) -> list[int]:
    """
    Lock the courses that students wait for, and return their ids.

    For whoever is about to change students: courses are locked before students, always.
    """
    waits = StudentCourse.objects.waiting().filter(student__in=list(student_ids)).values("course")
    courses = Course.objects.filter(pk__in=waits).select_for_update(no_key=True).order_by("pk")
    return list(courses.values_list("pk", flat=True))


@retried
@transaction.atomic
def perform(acts: Sequence[Act], origin: Origin, register: Register | None = None) -> list[Outcome]:
    """
    Do the acts in their order, each that the rules allow; an outcome for each.

    Act by act the answer is what it would have been had the acts come one by one. A seat that an act frees goes to who
    waits for it before the next act is looked at. The number of queries does not depend on the number of acts, up to
    the chunks of the inserts.

    ``register`` is for who acts in several batches within one transaction: the courses that an earlier batch has
    locked are locked still, so what it knows of their seats is true and need not be counted again.
    """
    ledger = _decide(acts, origin, register)
    refused.remember(ledger.outcomes, origin)
    ledger.write()
    transaction.on_commit(partial(metrics.count, *ledger.tally(done=True)))
    # A bulk door logs one line for all it did, and must not keep every act in memory until it commits.
    if origin.channel not in (Channel.IMPORT, Channel.COMMAND):
        transaction.on_commit(ledger.log)
    return ledger.outcomes


@retried
@transaction.atomic
def perform_all(acts: Sequence[Act], origin: Origin) -> list[Outcome]:
    """
    Do all of the acts, or none where the rules refuse one; an outcome for each, as ``perform`` gives it.

    Nothing was done where one of the outcomes is refused: then the others say what would have been.
    """
    ledger = _decide(acts, origin)
    if all(outcome.accepted for outcome in ledger.outcomes):
        ledger.write()
        transaction.on_commit(partial(metrics.count, *ledger.tally(done=True)))
        transaction.on_commit(ledger.log)
    else:
        refused.remember(ledger.outcomes, origin)
        metrics.count(*ledger.tally(done=False))
        ledger.log_refusals()
    return ledger.outcomes


@retried
@transaction.atomic
def judge(acts: Sequence[Act], origin: Origin, *, in_earnest: bool = False) -> list[Outcome]:
    """
    Return what ``perform`` would answer now, and change nothing.

    Within a transaction of the caller's the courses stay locked, so that a ``perform`` in the same one answers alike.
    Who asks ``in_earnest`` does so because it is to be done: whom the rules refuse is among the refused then.
    """
    ledger = _decide(acts, origin)
    if in_earnest:
        refused.remember(ledger.outcomes, origin)
    metrics.count(*ledger.tally(done=False))
    ledger.log_refusals()
    return ledger.outcomes


@retried
@transaction.atomic
def foresee(acts: Sequence[Act], origin: Origin) -> Forecast:
    """Return what ``perform`` would lead to now, with who is promoted thereby, and change nothing."""
    return forecast_of(_decide(acts, origin))


@retried
@transaction.atomic
def perform_as_foreseen(acts: Sequence[Act], origin: Origin, fingerprint: str) -> Forecast:
    """
    Do the acts as ``perform`` does, where what becomes of them is what was foreseen, and else nothing.

    ``fingerprint`` is of the forecast that somebody has agreed to. Where another one comes out, it is returned.
    """
    ledger = _decide(acts, origin)
    forecast = forecast_of(ledger)
    if forecast.fingerprint != fingerprint:
        return forecast
    refused.remember(ledger.outcomes, origin)
    ledger.write()
    transaction.on_commit(partial(metrics.count, *ledger.tally(done=True)))
    transaction.on_commit(ledger.log)
    return replace(forecast, done=True)


def _one(act: Act, origin: Origin) -> Outcome:
    if (found := at_a_glance(act, origin)) is not None:
        refused.remember(found.outcomes, origin)
        found.log_refusals()
        metrics.count(*found.tally(done=False))
        raise Refused(found.outcomes[0].refusals)
    outcome = in_company(act, origin) if may_be_grouped(act, origin) else None
    if outcome is None:
        [outcome] = perform([act], origin)
    else:
        refused.remember([outcome], origin)
        log_outcome(outcome, origin)
    remember(outcome)
    if not outcome.accepted:
        raise Refused(outcome.refusals)
    return outcome


def _decide(acts: Sequence[Act], origin: Origin, register: Register | None = None) -> Ledger:
    ledger = Ledger(register or Register(), origin)
    lock_and_read(acts, ledger.register, origin)
    for act in acts:
        ledger.decide(act)
    return ledger
