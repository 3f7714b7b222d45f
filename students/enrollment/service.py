"""
The operations on enrollments: enroll, drop, complete, undo, promote and adopt.

Only they write ``StudentCourse``.

In one transaction an operation locks the courses and students, reads the facts once, decides every command by
``students.enrollment.rules``, and writes the enrollments and the journal. A single command is a batch of one. A preview
makes the same decisions from facts that are read without locks and outside of a transaction, because on SQLite a
transaction would take the write lock.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction

from courses.models import Course
from school.db.retry import retry_transaction
from school.refusals import Refused
from students.enrollment.actor_context import ActorContext
from students.enrollment.affected_courses import (
    courses_affected_by_change,
    courses_affected_by_terms,
    courses_with_qualifiable_students,
    waits_of_students_in,
)
from students.enrollment.batch import EnrollmentBatch
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext, EnrollmentKey
from students.enrollment.loading import load_unlocked, lock_and_load
from students.enrollment.lock_free_refusal import mark_if_full, refuse_if_full
from students.enrollment.outcomes import Outcome
from students.enrollment.preview import Preview, build_preview
from students.models import Action, Hold, Student, StudentCourse


def enroll(
    *,
    student_id: int,
    course_id: int,
    actor: ActorContext,
    reason: str = "",
    on_full: OnFull = OnFull.REJECT,
    waived_codes: Collection[str] = (),
    instead_of: int | None = None,
) -> Outcome:
    """
    Give the student a seat, or with ``OnFull.WAITLIST`` a waitlist position if no seat is free.

    With ``instead_of`` it is a swap: the student leaves the course with this id for the seat, now or when a promotion
    gives it.

    If the enrollment is open already, the outcome is unchanged. Raise ``Refused`` with every reason that is not waived.
    """
    return _execute_one(
        EnrollmentCommand(
            Action.ENROLL,
            student_id,
            course_id,
            None,
            reason,
            on_full,
            frozenset(waived_codes),
            instead_of=instead_of,
        ),
        actor,
    )


def drop(
    *, student_id: int, course_id: int, actor: ActorContext, reason: str = "", if_version: tuple[int, int] | None = None
) -> Outcome:
    """
    End the enrollment: dropped on or before the term's drop deadline, withdrawn after it. Raise ``Refused``.

    ``if_version`` is the id and the version that the enrollment must have.
    """
    return _execute_one(
        EnrollmentCommand(Action.DROP, student_id, course_id, reason=reason, if_version=if_version), actor
    )


def complete(
    *,
    student_id: int,
    course_id: int,
    actor: ActorContext,
    grade: str | None = None,
    reason: str = "",
    if_version: tuple[int, int] | None = None,
) -> Outcome:
    """
    End the enrollment as completed, or correct the grade of a completed one. Raise ``Refused``.

    ``grade`` None leaves the grade as it is. ``if_version`` is the id and the version that the enrollment must have.
    """
    return _execute_one(
        EnrollmentCommand(Action.COMPLETE, student_id, course_id, grade, reason, if_version=if_version), actor
    )


def undo(*, student_id: int, course_id: int, actor: ActorContext, reason: str = "") -> Outcome:
    """Undo the last change of the latest enrollment of the student in the course. Raise ``Refused``."""
    return _execute_one(EnrollmentCommand(Action.UNDO, student_id, course_id, reason=reason), actor)


def enroll_many(
    keys: Iterable[tuple[int, int]], *, actor: ActorContext, reason: str = "", on_full: OnFull = OnFull.REJECT
) -> list[Outcome]:
    """Enroll (student id, course id) pairs in their order; return an outcome for each pair."""
    return execute([EnrollmentCommand(Action.ENROLL, *key, None, reason, on_full) for key in keys], actor)


def drop_many(keys: Iterable[tuple[int, int]], *, actor: ActorContext, reason: str = "") -> list[Outcome]:
    """Drop (student id, course id) pairs in their order; return an outcome for each pair."""
    return execute([EnrollmentCommand(Action.DROP, *key, reason=reason) for key in keys], actor)


def complete_many(
    keys: Iterable[tuple[int, int]], *, actor: ActorContext, grade: str | None = None, reason: str = ""
) -> list[Outcome]:
    """
    Complete (student id, course id) pairs in their order, all with the same grade; return an outcome for each pair.
    """
    return execute([EnrollmentCommand(Action.COMPLETE, *key, grade, reason) for key in keys], actor)


def undo_many(keys: Iterable[tuple[int, int]], *, actor: ActorContext, reason: str = "") -> list[Outcome]:
    """Undo the last change of each (student id, course id) pair, in their order; return an outcome for each pair."""
    return execute([EnrollmentCommand(Action.UNDO, *key, reason=reason) for key in keys], actor)


@retry_transaction
@transaction.atomic
def undo_batch(commands: Sequence[EnrollmentCommand], actor: ActorContext) -> list[Outcome]:
    """
    Execute undo commands together, so that a seat that one of them frees is available to the others.

    Free seats are not given to waitlisted students. The caller calls ``promote`` after the last undo.
    """
    batch = EnrollmentBatch(DecisionContext(), actor)
    lock_and_load(commands, batch.context, actor)
    for command in commands:
        batch.decide(command, promoting=False)
    batch.finish()
    return batch.outcomes


@retry_transaction
@transaction.atomic
def promote(
    course_ids: Collection[int], *, actor: ActorContext, key_filter: Callable[[EnrollmentKey], bool] | None = None
) -> list[StudentCourse]:
    """
    Give the free seats of courses to waitlisted students, and return the enrollments that got a seat.

    ``key_filter`` takes (student id, course id) and returns True if the student is considered in one of these courses;
    without it all students are.

    Call this after a change that frees a seat or makes a waitlisted student eligible, if the change is not a command on
    an enrollment of the course. For example: the course has more seats, the course or a student is active again, the
    enrollment window has opened.
    """
    batch = EnrollmentBatch(DecisionContext(), actor)
    lock_and_load([], batch.context, actor, course_ids=course_ids)
    if key_filter is not None:
        batch.consider_only(course_ids, key_filter)
    batch.promote_all()
    batch.finish()
    return batch.promoted


def promote_in_changed_courses(course_ids: Collection[int], *, actor: ActorContext) -> list[StudentCourse]:
    """
    Promote waitlisted students in changed courses, whose codes and terms are as before.

    The students of these courses may need fewer credits for them, so other courses are included for which these
    students wait.
    """
    return promote([*course_ids, *waits_of_students_in(course_ids)], actor=actor)


def promote_in_changed_course(course: Course, before: Mapping[str, Any], *, actor: ActorContext) -> list[StudentCourse]:
    """
    Promote waitlisted students after any change of a course.

    ``before`` has the earlier values of the course, as ``dependence_of`` returns them; it is empty for a new course.
    """
    return promote(courses_affected_by_change(course, before), actor=actor)


def promote_by_grades(*, actor: ActorContext) -> list[StudentCourse]:
    """Promote waitlisted students in the courses that require others. Call this after a change of the grade table."""
    return promote(courses_with_qualifiable_students(), actor=actor)


def promote_in_terms(term_ids: Collection[int], *, actor: ActorContext) -> list[StudentCourse]:
    """
    Promote waitlisted students in the courses of terms, and in courses that met at the same time as one of these.

    Call this after a change of the terms.
    """
    return promote(courses_affected_by_terms(term_ids), actor=actor)


def adopt(enrollments: Iterable[StudentCourse], actor: ActorContext) -> None:
    """
    Assign enrollments to the dataset of the actor's import, by one journal entry for each.

    The enrollments themselves do not change. The caller must have locked their courses in its transaction.
    """
    batch = EnrollmentBatch(DecisionContext(), actor)
    for enrollment in enrollments:
        batch.adopt(enrollment)
    batch.finish()


def preview_promotions(rows: Sequence[Student] | Sequence[Course], actor: ActorContext) -> list[StudentCourse]:
    """
    Return the enrollments that would get a seat if these rows were saved. Nothing is changed or locked.

    Only differences in ``is_active`` between these rows and the saved ones are considered.
    """
    context = DecisionContext()
    ids = [row.pk for row in rows]
    waitlisted = StudentCourse.objects.waitlisted().filter(student__in=ids).values_list("course", flat=True)
    are_courses = any(isinstance(row, Course) for row in rows)
    load_unlocked([], context, actor, course_ids=ids if are_courses else waitlisted)
    for row in rows:
        if isinstance(row, Course) and row.pk in context.courses:
            context.courses[row.pk].is_active = row.is_active
        elif row.pk in context.student_is_active:
            context.student_is_active[row.pk] = row.is_active
    batch = EnrollmentBatch(context, actor)
    batch.promote_all()
    return batch.promoted


def preview_releases(hold_ids: Collection[int], actor: ActorContext) -> list[StudentCourse]:
    """Return the enrollments that would get a seat if these holds were released. Nothing is changed or locked."""
    context = DecisionContext()
    students = Hold.objects.open().filter(pk__in=hold_ids).values("student")
    waitlisted = StudentCourse.objects.waitlisted().filter(student__in=students).values_list("course", flat=True)
    load_unlocked([], context, actor, course_ids=waitlisted)
    context.holds = {
        student_id: [hold for hold in holds if hold.pk not in hold_ids] for student_id, holds in context.holds.items()
    }
    batch = EnrollmentBatch(context, actor)
    batch.promote_all()
    return batch.promoted


def lock_waitlisted_courses(student_ids: Iterable[int]) -> list[int]:
    """
    Lock the courses that the students are waitlisted in, and return their ids.

    A caller that changes students calls this first: courses are always locked before students.
    """
    waitlisted = StudentCourse.objects.waitlisted().filter(student__in=list(student_ids)).values("course")
    courses = Course.objects.filter(pk__in=waitlisted).select_for_update(no_key=True).order_by("pk")
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
def execute(
    commands: Sequence[EnrollmentCommand], actor: ActorContext, context: DecisionContext | None = None
) -> list[Outcome]:
    """
    Execute the commands that the rules allow, in their order, and return an outcome for each command.

    The outcomes are the same as if the commands had arrived one by one: a seat that a command frees goes to a
    waitlisted student before the next command is decided. The number of queries does not depend on the number of
    commands, except for the chunks of the inserts.

    A caller that executes several batches in one transaction passes the same ``context`` to each. The courses that an
    earlier batch has locked are still locked, so their seat counts are still true and are not read again.
    """
    batch = _evaluate(commands, actor, context)
    batch.finish()
    return batch.outcomes


@retry_transaction
@transaction.atomic
def execute_atomic(commands: Sequence[EnrollmentCommand], actor: ActorContext) -> list[Outcome]:
    """
    Execute all commands, or none of them if the rules refuse one.

    Return an outcome for each, as ``execute`` does. If one command is refused, nothing is written, and the other
    outcomes say what would have happened.
    """
    batch = EnrollmentBatch(DecisionContext(), actor)
    lock_and_load(commands, batch.context, actor)
    batch.decide_together(commands)
    batch.finish(commit=all(outcome.accepted for outcome in batch.outcomes))
    return batch.outcomes


def dry_run(
    commands: Sequence[EnrollmentCommand], actor: ActorContext, *, record_refusals: bool = False
) -> list[Outcome]:
    """
    Return the outcomes that ``execute`` would have now, without changing anything.

    By default no lock is taken, and refusals are neither recorded nor counted. With ``record_refusals`` they are
    recorded and counted: the caller uses this for a request that it would execute. If the caller has a transaction
    open, the facts stay locked in that transaction, so that ``execute`` in the same transaction has the same outcomes.
    """
    if not record_refusals:
        return _evaluate_unlocked(commands, actor).outcomes
    return _dry_run_locked(commands, actor)


@retry_transaction
@transaction.atomic
def _dry_run_locked(commands: Sequence[EnrollmentCommand], actor: ActorContext) -> list[Outcome]:
    batch = _evaluate(commands, actor)
    batch.finish(commit=False)
    return batch.outcomes


def preview_commands(commands: Sequence[EnrollmentCommand], actor: ActorContext, *, together: bool = False) -> Preview:
    """
    Return what ``execute`` would do now, with the promotions that follow. Nothing is changed or locked.

    With ``together`` it is what ``execute_atomic`` would do: if one command is refused, nothing.
    """
    return build_preview(_evaluate_unlocked(commands, actor, together=together))


@retry_transaction
@transaction.atomic
def execute_if_unchanged(commands: Sequence[EnrollmentCommand], actor: ActorContext, fingerprint: str) -> Preview:
    """
    Execute the commands as ``execute`` does if the result equals the preview; otherwise write nothing.

    ``fingerprint`` is that of the preview that the user has confirmed. If the preview differs now, the new one is
    returned with ``committed`` False.
    """
    batch = _evaluate(commands, actor)
    result = build_preview(batch)
    if result.fingerprint != fingerprint:
        return result
    batch.finish()
    return replace(result, committed=True)


def _execute_one(command: EnrollmentCommand, actor: ActorContext) -> Outcome:
    if (refused_batch := refuse_if_full(command, actor)) is not None:
        refused_batch.finish(commit=False)
        raise Refused(refused_batch.outcomes[0].refusals)
    [outcome] = execute([command], actor)
    mark_if_full(outcome)
    if not outcome.accepted:
        raise Refused(outcome.refusals)
    return outcome


def _evaluate(
    commands: Sequence[EnrollmentCommand], actor: ActorContext, context: DecisionContext | None = None
) -> EnrollmentBatch:
    """
    Decide the commands by facts that stay locked until the transaction ends; return the batch, which is not written
    yet.
    """
    batch = EnrollmentBatch(context or DecisionContext(), actor)
    lock_and_load(commands, batch.context, actor)
    batch.decide_all(commands)
    return batch


def _evaluate_unlocked(
    commands: Sequence[EnrollmentCommand], actor: ActorContext, *, together: bool = False
) -> EnrollmentBatch:
    """Decide the commands by facts that are read without a lock, and return the batch."""
    batch = EnrollmentBatch(DecisionContext(), actor)
    load_unlocked(commands, batch.context, actor)
    if not together:
        batch.decide_all(commands)
        return batch
    batch.decide_together(commands)
    if not all(outcome.accepted for outcome in batch.outcomes):
        batch.events = []
    return batch
