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
from school.db.retry import retried
from school.refusals import Refused
from students.enrollment.batch import EnrollmentBatch
from students.enrollment.commands import ActorContext, EnrollmentCommand, OnFull, Outcome
from students.enrollment.context import DecisionContext, EnrollmentKey
from students.enrollment.full_courses import mark_if_full, refuse_if_full
from students.enrollment.loading import load_unlocked, lock_and_load
from students.enrollment.preview import Preview, build_preview
from students.models import Action, Student, StudentCourse


def enroll(
    *,
    student_id: int,
    course_id: int,
    origin: ActorContext,
    reason: str = "",
    on_full: OnFull = OnFull.REJECT,
    waive: Collection[str] = (),
) -> Outcome:
    """
    Give the student a seat, or with ``OnFull.WAITLIST`` a waitlist position if no seat is free.

    If the enrollment is open already, the outcome is unchanged. Raise ``Refused`` with every reason that is not waived.
    """
    return _execute_one(
        EnrollmentCommand(Action.ENROLL, student_id, course_id, None, reason, on_full, frozenset(waive)), origin
    )


def drop(
    *, student_id: int, course_id: int, origin: ActorContext, reason: str = "", expected: tuple[int, int] | None = None
) -> Outcome:
    """
    End the enrollment: dropped on or before the term's drop deadline, withdrawn after it. Raise ``Refused``.

    ``expected`` is the id and the version that the enrollment must have.
    """
    return _execute_one(EnrollmentCommand(Action.DROP, student_id, course_id, reason=reason, expected=expected), origin)


def complete(
    *,
    student_id: int,
    course_id: int,
    origin: ActorContext,
    grade: str | None = None,
    reason: str = "",
    expected: tuple[int, int] | None = None,
) -> Outcome:
    """
    End the enrollment as completed, or correct the grade of a completed one. Raise ``Refused``.

    ``grade`` None leaves the grade as it is. ``expected`` is the id and the version that the enrollment must have.
    """
    return _execute_one(
        EnrollmentCommand(Action.COMPLETE, student_id, course_id, grade, reason, expected=expected), origin
    )


def undo(*, student_id: int, course_id: int, origin: ActorContext, reason: str = "") -> Outcome:
    """Undo the last act on the latest enrollment of the student in the course. Raise ``Refused``."""
    return _execute_one(EnrollmentCommand(Action.UNDO, student_id, course_id, reason=reason), origin)


def enroll_many(
    pairs: Iterable[tuple[int, int]], *, origin: ActorContext, reason: str = "", on_full: OnFull = OnFull.REJECT
) -> list[Outcome]:
    """Enroll (student id, course id) pairs in their order, and return an outcome for each."""
    return execute([EnrollmentCommand(Action.ENROLL, *pair, None, reason, on_full) for pair in pairs], origin)


def drop_many(pairs: Iterable[tuple[int, int]], *, origin: ActorContext, reason: str = "") -> list[Outcome]:
    """Drop (student id, course id) pairs in their order, and return an outcome for each."""
    return execute([EnrollmentCommand(Action.DROP, *pair, reason=reason) for pair in pairs], origin)


def complete_many(
    pairs: Iterable[tuple[int, int]], *, origin: ActorContext, grade: str | None = None, reason: str = ""
) -> list[Outcome]:
    """Complete (student id, course id) pairs in their order, all with one grade, and return an outcome for each."""
    return execute([EnrollmentCommand(Action.COMPLETE, *pair, grade, reason) for pair in pairs], origin)


def undo_many(pairs: Iterable[tuple[int, int]], *, origin: ActorContext, reason: str = "") -> list[Outcome]:
    """Undo the last act on each (student id, course id) pair, in their order, and return an outcome for each."""
    return execute([EnrollmentCommand(Action.UNDO, *pair, reason=reason) for pair in pairs], origin)


@retried
@transaction.atomic
def undo_batch(acts: Sequence[EnrollmentCommand], origin: ActorContext) -> list[Outcome]:
    """
    Undo acts together, so that a seat that one of them frees is available to the others.

    Free seats are not given to waitlisted students. The caller does that with ``promote`` when all is undone.
    """
    ledger = EnrollmentBatch(DecisionContext(), origin)
    lock_and_load(acts, ledger.register, origin)
    for act in acts:
        ledger.decide(act, promoting=False)
    ledger.finish()
    return ledger.outcomes


@retried
@transaction.atomic
def promote(
    course_ids: Collection[int], *, origin: ActorContext, among: Callable[[EnrollmentKey], bool] | None = None
) -> list[StudentCourse]:
    """
    Give the free seats of courses to waitlisted students, and return the enrollments that got a seat.

    ``among`` takes (student id, course id) and returns True if the student is considered; without it all students are.

    This is for changes that free a seat or make a waitlisted student eligible but are not acts on an enrollment of the
    course: more seats, a course or a student that is active again, an enrollment window that has opened.
    """
    ledger = EnrollmentBatch(DecisionContext(), origin)
    lock_and_load([], ledger.register, origin, course_ids=course_ids)
    ledger.promote_all(among)
    ledger.finish()
    return ledger.promoted


def adopt(enrollments: Iterable[StudentCourse], origin: ActorContext) -> None:
    """
    Assign enrollments to the dataset of the origin's import, by one journal entry for each.

    Nothing else changes in them. The caller must have locked their courses in its transaction.
    """
    ledger = EnrollmentBatch(DecisionContext(), origin)
    for enrollment in enrollments:
        ledger.adopt(enrollment)
    ledger.finish()


def preview_promotions(rows: Sequence[Student] | Sequence[Course], origin: ActorContext) -> list[StudentCourse]:
    """
    Return the enrollments that would get a seat if these rows were saved. Nothing is changed or locked.

    Only differences in ``is_active`` between these rows and the saved ones are considered.
    """
    register = DecisionContext()
    ids = [row.pk for row in rows]
    waits = StudentCourse.objects.waiting().filter(student__in=ids).values_list("course", flat=True)
    are_courses = any(isinstance(row, Course) for row in rows)
    load_unlocked([], register, origin, course_ids=ids if are_courses else waits)
    for row in rows:
        if isinstance(row, Course) and row.pk in register.courses:
            register.courses[row.pk].is_active = row.is_active
        elif row.pk in register.active:
            register.active[row.pk] = row.is_active
    ledger = EnrollmentBatch(register, origin)
    ledger.promote_all()
    return ledger.promoted


def lock_waitlisted_courses(student_ids: Iterable[int]) -> list[int]:
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


@retried
@transaction.atomic
def execute(
    acts: Sequence[EnrollmentCommand], origin: ActorContext, register: DecisionContext | None = None
) -> list[Outcome]:
    """
    Perform the acts that the rules allow, in their order, and return an outcome for each act.

    The outcomes are the same as if the acts had arrived one by one: a seat that an act frees goes to a waitlisted
    student before the next act is decided. The number of queries does not depend on the number of acts, except for the
    chunks of the inserts.

    A caller that performs several batches in one transaction passes one ``register`` for all of them. The courses that
    an earlier batch has locked are still locked, so its seat counts are still true and are not read again.
    """
    ledger = _evaluate(acts, origin, register)
    ledger.finish()
    return ledger.outcomes


@retried
@transaction.atomic
def execute_atomic(acts: Sequence[EnrollmentCommand], origin: ActorContext) -> list[Outcome]:
    """
    Perform all of the acts, or none if the rules refuse one. Return an outcome for each, as ``execute`` does.

    If one of the outcomes is refused, nothing is written, and the other outcomes are what would have happened.
    """
    ledger = _evaluate(acts, origin)
    ledger.finish(done=all(outcome.accepted for outcome in ledger.outcomes))
    return ledger.outcomes


def dry_run(acts: Sequence[EnrollmentCommand], origin: ActorContext, *, in_earnest: bool = False) -> list[Outcome]:
    """
    Return the outcomes that ``execute`` would have now, without changing anything.

    By default this is a preview: it takes no lock, and its refusals are neither recorded nor counted. ``in_earnest`` is
    for a request that is to be carried out: its refusals are recorded and counted. If the caller has a transaction
    open, the facts stay locked in it, so that a ``execute`` in the same transaction has the same outcomes.
    """
    if not in_earnest:
        return _evaluate_unlocked(acts, origin).outcomes
    return _dry_run_locked(acts, origin)


@retried
@transaction.atomic
def _dry_run_locked(acts: Sequence[EnrollmentCommand], origin: ActorContext) -> list[Outcome]:
    ledger = _evaluate(acts, origin)
    ledger.finish(done=False)
    return ledger.outcomes


def preview_commands(acts: Sequence[EnrollmentCommand], origin: ActorContext) -> Preview:
    """Return what ``execute`` would do now, with the promotions that follow. Nothing is changed or locked."""
    return build_preview(_evaluate_unlocked(acts, origin))


@retried
@transaction.atomic
def execute_if_unchanged(acts: Sequence[EnrollmentCommand], origin: ActorContext, fingerprint: str) -> Preview:
    """
    Perform the acts as ``execute`` does if the result equals the preview; otherwise write nothing.

    ``fingerprint`` is that of the forecast that the user has confirmed. If the forecast differs now, the new one is
    returned with ``done`` False.
    """
    ledger = _evaluate(acts, origin)
    forecast = build_preview(ledger)
    if forecast.fingerprint != fingerprint:
        return forecast
    ledger.finish()
    return replace(forecast, done=True)


def _execute_one(act: EnrollmentCommand, origin: ActorContext) -> Outcome:
    if (found := refuse_if_full(act, origin)) is not None:
        found.finish(done=False)
        raise Refused(found.outcomes[0].refusals)
    [outcome] = execute([act], origin)
    mark_if_full(outcome)
    if not outcome.accepted:
        raise Refused(outcome.refusals)
    return outcome


def _evaluate(
    acts: Sequence[EnrollmentCommand], origin: ActorContext, register: DecisionContext | None = None
) -> EnrollmentBatch:
    """Decide the acts by facts that stay locked until the transaction ends, and return the ledger, not yet written."""
    ledger = EnrollmentBatch(register or DecisionContext(), origin)
    lock_and_load(acts, ledger.register, origin)
    ledger.decide_all(acts)
    return ledger


def _evaluate_unlocked(acts: Sequence[EnrollmentCommand], origin: ActorContext) -> EnrollmentBatch:
    """Decide the acts by facts that are read without a lock, and return the ledger."""
    ledger = EnrollmentBatch(DecisionContext(), origin)
    load_unlocked(acts, ledger.register, origin)
    ledger.decide_all(acts)
    return ledger
