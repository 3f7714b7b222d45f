"""
Cancels a course: it becomes inactive, and all its open enrollments are dropped, in one transaction.

The undo restores exactly these enrollments, also in one transaction. A cancellation gives no seat of the course to
anybody; but students may now qualify for another course in which they wait. A preview makes the same decisions without
locks.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from simple_history.utils import bulk_update_with_history

from courses.lookup import course_not_found
from courses.models import Course
from school.db.retry import retry_transaction
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, Refused
from students.enrollment.actor_context import ActorContext
from students.enrollment.batch import EnrollmentBatch
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext
from students.enrollment.loading import load_unlocked, lock_and_load
from students.enrollment.preview import Preview, build_preview
from students.enrollment.restored_waivers import restored_waivers
from students.enrollment.service import promote
from students.enrollment.transitions import COURSE_FULL
from students.models import Action, CourseCancellation, EnrollmentEvent, Status, Student, StudentCourse


@dataclass(frozen=True)
class CancellationResult:
    """
    The result of a cancellation or of its undo: the preview of its commands, and in ``promoted_after`` the students who
    get a seat after an undo.

    ``kept`` is the number of enrollments that an undo leaves dropped: the student's data was erased, or the enrollment
    has changed since. ``is_changed`` is False if the course was cancelled already.
    """

    course: Course
    preview: Preview
    kept: int = 0
    promoted_after: tuple[StudentCourse, ...] = ()
    is_changed: bool = True

    @cached_property
    def counts(self) -> Counter[str]:
        """The number of enrollments by their status while the course was not cancelled."""
        events = [step.event for step in self.preview.planned_actions if step.event is not None]
        is_undo = any(event.action == Action.UNDO for event in events)
        return Counter(event.to_status if is_undo else event.from_status for event in events)

    @property
    def promoted(self) -> int:
        """The number of waitlisted students who get a seat."""
        promotions = [effect for effect in self.preview.side_effects if effect.event.action == Action.PROMOTE]
        return len(promotions) + len(self.promoted_after)

    @property
    def enrolled(self) -> int:
        return self.counts[Status.ENROLLED]

    @property
    def waitlisted(self) -> int:
        return self.counts[Status.WAITLISTED]


def preview_cancellation(course_id: int, *, actor: ActorContext, reason: str = "") -> CancellationResult:
    """Return what ``cancel_course`` would do now. Nothing is changed or locked. Raise ``Refused``."""
    batch = _drop_all(course_id, actor, reason, is_locked=False)
    return _result(course_id, batch, is_changed=_is_changed(course_id, batch))


@retry_transaction
@transaction.atomic
def cancel_course(
    course_id: int, *, actor: ActorContext, reason: str, fingerprint: str | None = None
) -> CancellationResult:
    """
    Cancel a course; a repetition changes nothing. Raise ``Refused``.

    With the ``fingerprint`` of a preview nothing is changed if the result would differ from that preview.
    """
    if not reason.strip():
        message = _("A cancellation requires a reason.")
        raise Refused([Refusal("reason_missing", message, _("Reason is missing"), field="reason")])
    batch = _drop_all(course_id, actor, reason, is_locked=True)
    result = _result(course_id, batch, is_changed=_is_changed(course_id, batch))
    if fingerprint is not None and result.preview.fingerprint != fingerprint:
        return result
    if result.is_changed:
        batch.finish()
        # An earlier cancellation ended when staff made the course active again: only the latest can be undone.
        at = batch.context.now
        CourseCancellation.objects.filter(course=course_id, undone_at=None).update(
            undone_at=at, undone_by=actor.actor_id
        )
        CourseCancellation.objects.create(
            course_id=course_id,
            at=at,
            actor_id=actor.actor_id,
            channel=actor.channel,
            reason=reason,
            request_id=actor.request_id,
            was_active=result.course.is_active,
        )
        _set_active(result.course, actor, reason, is_active=False)
    return replace(result, preview=replace(result.preview, committed=True))


def preview_undo(course_id: int, *, actor: ActorContext, reason: str = "") -> CancellationResult:
    """Return what ``undo_cancellation`` would do now. Nothing is changed or locked. Raise ``Refused``."""
    batch, kept = _restore_all(course_id, actor, reason, is_locked=False)
    return _result(course_id, batch, kept=kept)


@retry_transaction
@transaction.atomic
def undo_cancellation(
    course_id: int, *, actor: ActorContext, reason: str = "", fingerprint: str | None = None
) -> CancellationResult:
    """
    Undo the cancellation of a course: all its enrollments are as before, and so is its activity.

    A rule that was waived for an enrollment is waived again. Raise ``Refused`` if the course is not cancelled, or if an
    enrollment became impossible since the cancellation, as by fewer seats: then nothing is changed. ``fingerprint`` as
    in ``cancel_course``.
    """
    batch, kept = _restore_all(course_id, actor, reason, is_locked=True)
    result = _result(course_id, batch, kept=kept)
    if fingerprint is not None and result.preview.fingerprint != fingerprint:
        return result
    batch.finish()
    cancellation = _cancellation_of(course_id)
    cancellation.undone_at, cancellation.undone_by_id = batch.context.now, actor.actor_id
    cancellation.save()
    if cancellation.was_active and not result.course.is_active:
        _set_active(result.course, actor, reason, is_active=True)
    promoted = tuple(promote([course_id], actor=actor))
    return replace(result, promoted_after=promoted, preview=replace(result.preview, committed=True))


def is_cancelled(course: Course) -> bool:
    """Return True if the course has a cancellation that can be undone."""
    return CourseCancellation.objects.filter(course=course, undone_at=None).exists()


def _drop_all(course_id: int, actor: ActorContext, reason: str, *, is_locked: bool) -> EnrollmentBatch:
    """Decide the drops of all open enrollments of a course. Raise ``Refused`` if there is no such course."""
    commands: list[EnrollmentCommand] = []
    current = _open_commands(course_id, reason)
    batch = EnrollmentBatch(_context_of(course_id), actor)
    while commands != current or not batch.context.courses:
        # Enrollments may have begun or ended before the course was locked: then read the facts about these, too.
        commands, batch = current, EnrollmentBatch(_context_of(course_id), actor)
        _load(commands, batch.context, actor, course_id, is_locked=is_locked)
        current = _open_commands(course_id, reason)
    batch.context.courses[course_id].is_active = False
    _decide(batch, commands, course_id)
    return batch


def _open_commands(course_id: int, reason: str) -> list[EnrollmentCommand]:
    students = StudentCourse.objects.open().filter(course=course_id).order_by("pk").values_list("student", flat=True)
    return [EnrollmentCommand(Action.DROP, student, course_id, reason=reason) for student in students]


def _restore_all(course_id: int, actor: ActorContext, reason: str, *, is_locked: bool) -> tuple[EnrollmentBatch, int]:
    """Decide the undo of a cancellation; return it, and the number of enrollments that stay as they are."""
    batch = EnrollmentBatch(_context_of(course_id), actor)
    _load([], batch.context, actor, course_id, is_locked=is_locked)
    cancellation = _cancellation_of(course_id)
    students = dict(StudentCourse.objects.filter(course=course_id).values_list("pk", "student"))
    # No join: the database may not know yet how many rows a large import has added.
    drops = EnrollmentEvent.objects.filter(
        enrollment__pk__any_of=list(students),
        action=Action.DROP,
        at=cancellation.at,
        request_id=cancellation.request_id,
    )
    dropped = {students[pk]: event for pk, event in drops.order_by("enrollment_id").values_list("enrollment_id", "pk")}
    erased = set(Student.objects.filter(pk__any_of=list(dropped), erased_at__isnull=False).values_list("pk", flat=True))
    commands = [
        EnrollmentCommand(Action.UNDO, student, course_id, reason=reason)
        for student in dropped
        if student not in erased
    ]
    _load(commands, batch.context, actor, course_id, is_locked=is_locked)
    last_events = batch.context.last_events
    unchanged = [
        each for each in commands if each.key in last_events and last_events[each.key].pk == dropped[each.student_id]
    ]
    restored = {batch.context.latest_enrollments[each.key].pk: each.student_id for each in unchanged}
    waivers = restored_waivers(restored, batch.context.courses[course_id], cancellation.at)
    batch.context.undo_waivers = {(student, course_id): codes for student, codes in waivers.items()}
    # Seats above the capacity come last, so that they do not take the seats of the others.
    unchanged.sort(key=lambda each: COURSE_FULL in waivers.get(each.student_id, ()))
    _decide(batch, unchanged, course_id)
    return batch, len(dropped) - len(unchanged)


def _context_of(course_id: int) -> DecisionContext:
    """Return a context in which nobody gets a seat of the course: but students may qualify for other courses."""
    return DecisionContext(before_waitlist=frozenset({course_id}))


def _load(
    commands: list[EnrollmentCommand], context: DecisionContext, actor: ActorContext, course_id: int, *, is_locked: bool
) -> None:
    """Load the facts about the commands and the course; raise ``Refused`` if there is no such course."""
    (lock_and_load if is_locked else load_unlocked)(commands, context, actor, course_ids=[course_id])
    if course_id not in context.courses:
        raise Refused([course_not_found(course_id)])


def _decide(batch: EnrollmentBatch, commands: Iterable[EnrollmentCommand], course_id: int) -> None:
    """Decide commands that are all accepted, or raise ``Refused`` with the reasons against the first refused one."""
    batch.context.waitlists.pop(course_id, None)  # nobody is promoted, so the order of the waitlist is not needed
    for command in commands:
        batch.decide(command)
        if refusals := batch.outcomes[-1].refusals:
            raise Refused(refusals)


def _result(course_id: int, batch: EnrollmentBatch, **values: Any) -> CancellationResult:
    return CancellationResult(Course.objects.select_related("term").get(pk=course_id), build_preview(batch), **values)


def _is_changed(course_id: int, batch: EnrollmentBatch) -> bool:
    return bool(batch.outcomes) or Course.objects.filter(pk=course_id, is_active=True).exists()


def _cancellation_of(course_id: int) -> CourseCancellation:
    cancellation = CourseCancellation.objects.filter(course=course_id, undone_at=None).first()
    if cancellation is None:
        raise Refused([Refusal("not_cancelled", _("This course is not cancelled."), _("Not cancelled"))])
    return cancellation


def _set_active(course: Course, actor: ActorContext, reason: str, *, is_active: bool) -> None:
    course.is_active = is_active
    user = get_user_model().objects.get(pk=actor.actor_id) if actor.actor_id else None
    bulk_update_with_history(
        [course], Course, ["is_active"], default_user=user, default_change_reason=reason[:100] or None
    )
