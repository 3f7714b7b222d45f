"""
The operations on enrollments: enroll, drop, complete, undo, promote and adopt. Only they write ``StudentCourse``.

In one transaction an operation locks the courses and students, reads the facts once, decides every act by
``students.enrollment.rules``, and writes the enrollments and the journal. A single act is a batch of one. A preview
runs the same decisions on facts that are read without a lock and outside a transaction: on SQLite, a transaction would
take the write lock.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from django.db import transaction

from courses.models import Course
from school.db.retry import retry_transaction
from school.refusals import Refused
from students.enrollment.batch import Ledger
from students.enrollment.commands import Act, OnFull, Origin, Outcome
from students.enrollment.context import Pair, Register
from students.enrollment.full_courses import at_a_glance, remember
from students.enrollment.loading import lock_and_read, look
from students.enrollment.preview import Forecast, forecast_of
from students.models import Action, Student, StudentCourse


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
    Give the student a seat, or with ``OnFull.WAITLIST`` a waitlist position if no seat is free.

    If the enrollment is open already, the outcome is unchanged. Raise ``Refused`` with every reason that is not waived.
    """
    return _one(Act(Action.ENROLL, student_id, course_id, None, reason, on_full, frozenset(waive)), origin)


def drop(
    *, student_id: int, course_id: int, origin: Origin, reason: str = "", expected: tuple[int, int] | None = None
) -> Outcome:
    """
    End the enrollment: dropped on or before the term's drop deadline, withdrawn after it. Raise ``Refused``.

    ``expected`` is the id and the version that the enrollment must have.
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

    ``grade`` None leaves the grade as it is. ``expected`` is the id and the version that the enrollment must have.
    """
    return _one(Act(Action.COMPLETE, student_id, course_id, grade, reason, expected=expected), origin)


def undo(*, student_id: int, course_id: int, origin: Origin, reason: str = "") -> Outcome:
    """Undo the last act on the latest enrollment of the student in the course. Raise ``Refused``."""
    return _one(Act(Action.UNDO, student_id, course_id, reason=reason), origin)


def enroll_many(
    pairs: Iterable[tuple[int, int]], *, origin: Origin, reason: str = "", on_full: OnFull = OnFull.REJECT
) -> list[Outcome]:
    """Enroll (student id, course id) pairs in their order, and return an outcome for each."""
    return perform([Act(Action.ENROLL, *pair, None, reason, on_full) for pair in pairs], origin)


def drop_many(pairs: Iterable[tuple[int, int]], *, origin: Origin, reason: str = "") -> list[Outcome]:
    """Drop (student id, course id) pairs in their order, and return an outcome for each."""
    return perform([Act(Action.DROP, *pair, reason=reason) for pair in pairs], origin)


def complete_many(
    pairs: Iterable[tuple[int, int]], *, origin: Origin, grade: str | None = None, reason: str = ""
) -> list[Outcome]:
    """Complete (student id, course id) pairs in their order, all with one grade, and return an outcome for each."""
    return perform([Act(Action.COMPLETE, *pair, grade, reason) for pair in pairs], origin)


def undo_many(pairs: Iterable[tuple[int, int]], *, origin: Origin, reason: str = "") -> list[Outcome]:
    """Undo the last act on each (student id, course id) pair, in their order, and return an outcome for each."""
    return perform([Act(Action.UNDO, *pair, reason=reason) for pair in pairs], origin)


@retry_transaction
@transaction.atomic
def undo_together(acts: Sequence[Act], origin: Origin) -> list[Outcome]:
    """
    Undo acts together, so that a seat that one of them frees is available to the others.

    Free seats are not given to waitlisted students. The caller does that with ``promote`` when all is undone.
    """
    ledger = Ledger(Register(), origin)
    lock_and_read(acts, ledger.register, origin)
    for act in acts:
        ledger.decide(act, promoting=False)
    ledger.finish()
    return ledger.outcomes


@retry_transaction
@transaction.atomic
def promote(
    course_ids: Collection[int], *, origin: Origin, among: Callable[[Pair], bool] | None = None
) -> list[StudentCourse]:
    """
    Give the free seats of courses to waitlisted students, and return the enrollments that got a seat.

    ``among`` takes (student id, course id) and returns True if the student is considered; without it all students are.

    This is for changes that free a seat or make a waitlisted student eligible but are not acts on an enrollment of the
    course: more seats, a course or a student that is active again, an enrollment window that has opened.
    """
    ledger = Ledger(Register(), origin)
    lock_and_read([], ledger.register, origin, course_ids=course_ids)
    ledger.promote_all(among)
    ledger.finish()
    return ledger.promoted


def adopt(enrollments: Iterable[StudentCourse], origin: Origin) -> None:
    """
    Assign enrollments to the dataset of the origin's import, by one journal entry for each.

    Nothing else changes in them. The caller must have locked their courses in its transaction.
    """
    ledger = Ledger(Register(), origin)
    for enrollment in enrollments:
        ledger.adopt(enrollment)
    ledger.finish()


def foresee_promotions(rows: Sequence[Student] | Sequence[Course], origin: Origin) -> list[StudentCourse]:
    """
    Return the enrollments that would get a seat if these rows were saved. Nothing is changed or locked.

    Only differences in ``is_active`` between these rows and the saved ones are considered.
    """
    register = Register()
    ids = [row.pk for row in rows]
    waits = StudentCourse.objects.waiting().filter(student__in=ids).values_list("course", flat=True)
    are_courses = any(isinstance(row, Course) for row in rows)
    look([], register, origin, course_ids=ids if are_courses else waits)
    for row in rows:
        if isinstance(row, Course) and row.pk in register.courses:
            register.courses[row.pk].is_active = row.is_active
        elif row.pk in register.active:
            register.active[row.pk] = row.is_active
    ledger = Ledger(register, origin)
    ledger.promote_all()
    return ledger.promoted


def courses_waited_for(student_ids: Iterable[int]) -> list[int]:
    """
    Lock the courses that the students are waitlisted in, and return their ids.

    A caller that changes students calls this first: courses are always locked before students.
    """
    waits = StudentCourse.objects.waiting().filter(student__in=list(student_ids)).values("course")
    courses = Course.objects.filter(pk__in=waits).select_for_update(no_key=True).order_by("pk")
    return list(courses.values_list("pk", flat=True))


def lock_to_deactivate(student_ids: Iterable[int]) -> None:
    """
    Lock the active students among these, before they are saved as inactive in the same transaction.

    FOR UPDATE waits for each transaction that has read a student as active, and blocks those that are about to read it.
    """
    students = Student.objects.filter(pk__in=list(student_ids), is_active=True)
    list(students.select_for_update().order_by("pk").values_list("pk", flat=True))


@retry_transaction
@transaction.atomic
def perform(acts: Sequence[Act], origin: Origin, register: Register | None = None) -> list[Outcome]:
    """
    Perform the acts that the rules allow, in their order, and return an outcome for each act.

    The outcomes are the same as if the acts had arrived one by one: a seat that an act frees goes to a waitlisted
    student before the next act is decided. The number of queries does not depend on the number of acts, except for the
    chunks of the inserts.

    A caller that performs several batches in one transaction passes one ``register`` for all of them. The courses that
    an earlier batch has locked are still locked, so its seat counts are still true and are not read again.
    """
    ledger = _decide(acts, origin, register)
    ledger.finish()
    return ledger.outcomes


@retry_transaction
@transaction.atomic
def perform_all(acts: Sequence[Act], origin: Origin) -> list[Outcome]:
    """
    Perform all of the acts, or none if the rules refuse one. Return an outcome for each, as ``perform`` does.

    If one of the outcomes is refused, nothing is written, and the other outcomes are what would have happened.
    """
    ledger = _decide(acts, origin)
    ledger.finish(done=all(outcome.accepted for outcome in ledger.outcomes))
    return ledger.outcomes


def judge(acts: Sequence[Act], origin: Origin, *, in_earnest: bool = False) -> list[Outcome]:
    """
    Return the outcomes that ``perform`` would have now, without changing anything.

    By default this is a preview: it takes no lock, and its refusals are neither recorded nor counted. ``in_earnest`` is
    for a request that is to be carried out: its refusals are recorded and counted. If the caller has a transaction
    open, the facts stay locked in it, so that a ``perform`` in the same transaction has the same outcomes.
    """
    if not in_earnest:
        return _preview(acts, origin).outcomes
    return _refuse_or_lock(acts, origin)


@retry_transaction
@transaction.atomic
def _refuse_or_lock(acts: Sequence[Act], origin: Origin) -> list[Outcome]:
    ledger = _decide(acts, origin)
    ledger.finish(done=False)
    return ledger.outcomes


def foresee(acts: Sequence[Act], origin: Origin) -> Forecast:
    """Return what ``perform`` would do now, with the promotions that follow. Nothing is changed or locked."""
    return forecast_of(_preview(acts, origin))


@retry_transaction
@transaction.atomic
def perform_as_foreseen(acts: Sequence[Act], origin: Origin, fingerprint: str) -> Forecast:
    """
    Perform the acts as ``perform`` does if the result equals the preview; otherwise write nothing.

    ``fingerprint`` is that of the forecast that the user has confirmed. If the forecast differs now, the new one is
    returned with ``done`` False.
    """
    ledger = _decide(acts, origin)
    forecast = forecast_of(ledger)
    if forecast.fingerprint != fingerprint:
        return forecast
    ledger.finish()
    return replace(forecast, done=True)


def _one(act: Act, origin: Origin) -> Outcome:
    if (found := at_a_glance(act, origin)) is not None:
        found.finish(done=False)
        raise Refused(found.outcomes[0].refusals)
    [outcome] = perform([act], origin)
    remember(outcome)
    if not outcome.accepted:
        raise Refused(outcome.refusals)
    return outcome


def _decide(acts: Sequence[Act], origin: Origin, register: Register | None = None) -> Ledger:
    """Decide the acts by facts that stay locked until the transaction ends, and return the ledger, not yet written."""
    ledger = Ledger(register or Register(), origin)
    lock_and_read(acts, ledger.register, origin)
    ledger.decide_all(acts)
    return ledger


def _preview(acts: Sequence[Act], origin: Origin) -> Ledger:
    """Decide the acts by facts that are read without a lock, and return the ledger."""
    ledger = Ledger(Register(), origin)
    look(acts, ledger.register, origin)
    ledger.decide_all(acts)
    return ledger
