"""
Decides the commands of a batch one after the other, and then writes the enrollments and the journal entries together.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from school.db.bulk_insert import insert_many, update_many
from school.db.model_instances import clone_instance
from school.i18n.stored_messages import in_english, join_messages, parts_to_json
from students.enrollment.commands import ActorContext, EnrollmentCommand, Outcome
from students.enrollment.context import SYSTEM_ACTIONS, DecisionContext, EnrollmentKey
from students.enrollment.outcome_logging import count_metrics, report_outcomes
from students.enrollment.rules import Decision, evaluate
from students.enrollment.transitions import is_noop, is_unconditional_noop, next_status
from students.enrollment.waitlist import iter_waitlist
from students.events import log
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse

EVENT_TEMPLATE = EnrollmentEvent()
UPDATE_FIELDS = ("status", *log.TRACKED_FIELDS, "version", "updated_at")


@dataclass
class EnrollmentBatch:
    """The decisions on the commands of a batch. Nothing is written until ``finish`` is called."""

    context: DecisionContext
    actor: ActorContext
    outcomes: list[Outcome] = field(default_factory=list)
    created: list[StudentCourse] = field(default_factory=list)
    updated: dict[int, StudentCourse] = field(default_factory=dict)
    events: list[EnrollmentEvent] = field(default_factory=list)
    decision_cache: dict[Hashable, Decision] = field(default_factory=dict)
    row_templates: dict[Hashable, tuple[StudentCourse, EnrollmentEvent]] = field(default_factory=dict)

    def decide(self, command: EnrollmentCommand, *, promoting: bool = True) -> None:
        """
        Apply a command if the rules allow it, and give a seat that it frees to the next waitlisted student.

        The freed seat stays free if ``promoting`` is False or the course is in ``before_waitlist`` of the context.
        """
        if self._is_cacheable(command):
            self._decide_cached(command)
            return
        if is_unconditional_noop(command, self.context):
            self.outcomes.append(Outcome(command, self.context.latest_enrollments[command.key], changed=False))
            return
        decision = evaluate(command, self.context)
        changed = not decision.refusals and not is_noop(command, self.context)
        created = changed and self._apply(command, decision)
        if changed:
            course_ids = [command.course_id] if promoting else []
            if promoting and command.action == Action.COMPLETE:
                course_ids += self.context.other_waitlists.get(command.student_id, ())
            for course_id in course_ids:
                if course_id not in self.context.before_waitlist:
                    self.promote(course_id)
        self.outcomes.append(
            Outcome(command, self.context.latest_enrollments.get(command.key), changed, decision.refusals, created)
        )

    def decide_all(self, commands: Iterable[EnrollmentCommand]) -> None:
        """Decide commands in their order. Each decision takes the ones before it into account."""
        for command in commands:
            self.decide(command)

    def _is_cacheable(self, command: EnrollmentCommand) -> bool:
        """
        Return True if the decision depends only on the course, ``student.is_active`` and ``command.on_full``.

        This is true for most commands of most batches: an enrollment without a waiver, of a student who has no earlier
        enrollment in the course, if the course has no prerequisites and its waitlist is empty.
        ``tests/students/test_plain.py`` checks that the rules read nothing else for these commands.
        """
        context = self.context
        course = context.courses.get(command.course_id)
        return (
            command.action == Action.ENROLL
            and course is not None
            and not command.waived_codes
            and command.if_version is None
            and not course.prerequisites
            and not context.waitlist_lengths[command.course_id]
            and command.key not in context.latest_enrollments
            and command.student_id in context.student_is_active
        )

    def _decide_cached(self, command: EnrollmentCommand) -> None:
        """Decide as ``decide`` does, but evaluate the rules only once for all commands with the same decision."""
        context, course_id = self.context, command.course_id
        has_seat = context.has_seat(course_id)
        cache_key = course_id, context.student_is_active[command.student_id], has_seat, command.on_full
        if cache_key not in self.decision_cache:
            self.decision_cache[cache_key] = evaluate(command, context)
        decision = self.decision_cache[cache_key]
        if decision.refusals:
            self.outcomes.append(Outcome(command, None, False, decision.refusals))
            return
        template_key = command.reason, self.actor
        if has_seat and template_key in self.row_templates:
            enrollment, event = self.row_templates[template_key]
            enrollment = clone_instance(enrollment, student_id=command.student_id, course_id=course_id)
            context.set_related_objects(enrollment)
            event = clone_instance(event)
            event._state.fields_cache = {"enrollment": enrollment}
            self.created.append(enrollment)
            self.events.append(event)
            context.apply_change(enrollment, before="")
            context.record_event(event)
        else:
            self._apply(command, decision)
            enrollment = context.latest_enrollments[command.key]
            if enrollment.status == Status.ENROLLED:
                self.row_templates[template_key] = clone_instance(enrollment), clone_instance(self.events[-1])
        self.outcomes.append(Outcome(command, enrollment, True, created=True))

    def promote(self, course_id: int, key_filter: Callable[[EnrollmentKey], bool] | None = None) -> None:
        """
        Give a course's free seats to waitlisted students.

        If the rules refuse a student, pass over the student, and record the reason in the journal, but not again while
        the reason stays the same. ``key_filter`` takes (student id, course id) and returns True if the student is
        considered; without it all are.
        """
        waitlist = self.context.waitlists.get(course_id)
        if not waitlist:
            return
        if key_filter is not None:
            self.context.waitlists[course_id] = [waiter for waiter in waitlist if key_filter(waiter.key)]
        with in_english():
            self._promote(course_id)

    def promote_all(self, key_filter: Callable[[EnrollmentKey], bool] | None = None) -> None:
        """
        Give the free seats of all courses in the context to waitlisted students; ``key_filter`` as in ``promote``.
        """
        for course_id in sorted(self.context.courses):
            self.promote(course_id, key_filter)

    @property
    def promoted(self) -> list[StudentCourse]:
        """The enrollments that were promoted from the waitlist."""
        return [event.enrollment for event in self.events if event.action == Action.PROMOTE]

    def _promote(self, course_id: int) -> None:
        for waiter, decision in iter_waitlist(course_id, self.context):
            if not decision.refusals:
                self._update(waiter, Status.ENROLLED, {"enrolled_on": self.context.today}, Action.PROMOTE, decision)
                continue
            key = waiter.student_id, course_id
            codes = [refusal.code for refusal in decision.refusals]
            if self.context.last_pass_over_codes.get(key) != codes:
                self.context.last_pass_over_codes[key] = codes
                reason = join_messages(refusal.message for refusal in decision.refusals)
                self._add_event(waiter, waiter.status, {}, Action.PASS_OVER, decision, reason)

    def adopt(self, enrollment: StudentCourse) -> None:
        """
        Record in the journal that from now on the enrollment belongs to the dataset of the actor's import.

        The enrollment is not changed.
        """
        self._add_event(enrollment, enrollment.status, {}, Action.ADOPT, Decision(), "")

    def write(self) -> None:
        # Write the updates before the inserts: a student may have only one open enrollment in a course, so the old one
        # must end first.
        update_many([self.updated[pk] for pk in sorted(self.updated)], UPDATE_FIELDS)
        # Insert the rows sorted by course, so that neighboring index pages are written. The sort must be stable: of two
        # students waitlisted at the same instant, the lower id comes first.
        insert_many(sorted(self.created, key=attrgetter("course_id")))
        log.append(self.events)

    def finish(self, *, commit: bool = True) -> None:
        """
        Write the decisions if ``commit``, record the refusals, and count and log the decisions.

        The decisions are counted and logged after the transaction is committed.
        """
        if commit:
            self.write()
        count_metrics(self.outcomes, self.events, committed=commit)
        report_outcomes(self.outcomes, self.actor, self.events, committed=commit)

    def _apply(self, command: EnrollmentCommand, decision: Decision) -> bool:
        """Change the enrollment of the command, or create one. Return True if one was created."""
        enrollment, status = self.context.latest_enrollments.get(command.key), next_status(command, self.context)
        is_new = command.action == Action.ENROLL and (enrollment is None or not enrollment.is_open)
        if is_new:
            enrollment = StudentCourse(
                student_id=command.student_id, course_id=command.course_id, version=0, created_at=self.context.now
            )
            self.context.set_related_objects(enrollment)
            self.created.append(enrollment)
        assert enrollment is not None  # the rules refuse every other action for a student who has no enrollment
        fields = (
            self._restored_values(command)
            if command.action == Action.UNDO
            else self._new_values(command, enrollment, status)
        )
        self._update(enrollment, status, fields, command.action, decision, command.reason)
        if status == Status.WAITLISTED:
            enrollment.annotated_waitlist_position = self.context.waitlist_lengths[command.course_id]
        return is_new

    def _new_values(self, command: EnrollmentCommand, enrollment: StudentCourse, status: Status) -> dict[str, Any]:
        """Return the values that a command gives to fields other than the status."""
        if status == Status.ENROLLED:
            return {"enrolled_on": self.context.today}
        if status == Status.WAITLISTED:
            return {"waitlisted_at": self.context.next_waitlist_timestamp(command.course_id)}
        grade = enrollment.grade if command.grade is None else command.grade
        return {"ended_on": enrollment.ended_on or self.context.today, "grade": grade}

    def _restored_values(self, command: EnrollmentCommand) -> dict[str, Any]:
        """
        Return the values that the enrollment had before the event that is undone.

        If the event created the enrollment, it ends today.
        """
        last_event = self.context.last_events[command.key]
        if not last_event.from_status:
            return {"ended_on": self.context.today}
        return {name: log.parse_value(name, before) for name, (before, _after) in last_event.changes.items()}

    def _update(
        self,
        enrollment: StudentCourse,
        status: Status,
        fields: dict[str, Any],
        action: Action,
        decision: Decision,
        reason: str = "",
    ) -> None:
        from_status = enrollment.status
        if enrollment.pk:
            self.updated[enrollment.pk] = enrollment
        enrollment.status = status
        changes = log.diff(fields, enrollment)
        for name, value in fields.items():
            setattr(enrollment, name, value)
        enrollment.version += 1
        enrollment.updated_at = self.context.now
        self.context.apply_change(enrollment, before=from_status)
        self._add_event(enrollment, from_status, changes, action, decision, reason)

    def _add_event(
        self,
        enrollment: StudentCourse,
        from_status: str,
        changes: dict[str, Any],
        action: Action,
        decision: Decision,
        reason: str,
    ) -> None:
        """
        Add a journal entry.

        A promotion or pass-over has no actor and the channel system, but the same request id.
        """
        is_system_generated = action in SYSTEM_ACTIONS
        event = clone_instance(
            EVENT_TEMPLATE,
            action=action,
            at=self.context.now,
            actor_id=None if is_system_generated else self.actor.actor_id,
            channel=Channel.SYSTEM if is_system_generated else self.actor.channel,
            from_status=from_status,
            to_status=enrollment.status,
            changes=changes,
            reason=reason,
            reason_parts=parts_to_json(reason),
            waived=list(decision.waived),
            refusals=[refusal.code for refusal in decision.refusals],
            request_id=self.actor.request_id,
            file_import_id=self.actor.import_id,
        )
        event._state.fields_cache = {"enrollment": enrollment}
        self.events.append(event)
        self.context.record_event(event)
