"""
Decides the commands of a batch one after the other, and then writes the enrollments and the journal entries together.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from school.db.bulk_writes import insert_many, update_many
from school.db.fast_model_instances import clone_instance
from school.i18n.stored_messages import in_english, join_messages, parts_to_json
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import SYSTEM_ACTIONS, DecisionContext, EnrollmentKey
from students.enrollment.outcome_logging import count_metrics, report_outcomes
from students.enrollment.outcomes import Outcome
from students.enrollment.promotion_candidates import iter_promotion_candidates
from students.enrollment.rules import Decision, corequisites_are_taken, evaluate
from students.enrollment.transitions import is_noop, is_unconditional_noop, next_status
from students.events import journal
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
ENROLL, UNDO = Action.ENROLL, Action.UNDO
ENROLLED, WAITLISTED = Status.ENROLLED, Status.WAITLISTED

ENROLLMENT_TEMPLATE, EVENT_TEMPLATE = StudentCourse(), EnrollmentEvent()
UPDATE_FIELDS = ("status", *journal.TRACKED_FIELDS, "version", "updated_at")


@dataclass
class EnrollmentBatch:
    """The decisions on the commands of a batch. Nothing is written until ``finish`` is called."""

    context: DecisionContext
    actor: ActorContext
    outcomes: list[Outcome] = field(default_factory=list)
    created: list[StudentCourse] = field(default_factory=list)
    updated: dict[int, StudentCourse] = field(default_factory=dict)
    events: list[EnrollmentEvent] = field(default_factory=list)
    swapped: list[EnrollmentEvent] = field(default_factory=list)  # the ends of enrollments that others replace
    decision_cache: dict[Hashable, Decision] = field(default_factory=dict)
    row_templates: dict[Hashable, tuple[StudentCourse, EnrollmentEvent]] = field(default_factory=dict)
    independent: dict[int, bool] = field(default_factory=dict)  # see ``_is_independent``

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
        replaced = self._end_replaced(command, decision) if changed else None
        created = changed and self._apply(command, decision)
        if changed and promoting:
            course_ids = [command.course_id]
            if replaced:
                course_ids.append(replaced.course_id)
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

    def decide_together(self, commands: Sequence[EnrollmentCommand]) -> None:
        """
        Decide commands of which all are executed or none: for corequisites, those of all commands count in any order.

        A command that relied on another one is refused if that one gave no seat.
        """
        courses = self.context.courses
        enrolling = [each for each in commands if each.action == ENROLL and each.course_id in courses]
        requested = ((each.student_id, courses[each.course_id]) for each in enrolling)
        self.context.requested = frozenset((student, course.code, course.term_id) for student, course in requested)
        self.decide_all(commands)
        self.context.requested = frozenset()
        for place, outcome in enumerate(self.outcomes):
            command = outcome.command
            if outcome.created and corequisites_are_taken.code not in command.waived_codes:
                refusals = corequisites_are_taken(command, self.context)
                if refusals:
                    self.outcomes[place] = Outcome(command, None, False, tuple(refusals))

    def _is_cacheable(self, command: EnrollmentCommand) -> bool:
        """
        Return True if the decision depends only on the course, ``student.is_active`` and ``command.on_full``.

        This is true for most commands of most batches: an enrollment without a waiver, of a student who has no hold and
        no earlier enrollment in the course and waits for no course with corequisites, if no rule of the course reads
        what the student has in other courses and its waitlist is empty.
        ``tests/students/test_plain.py`` checks that the rules read nothing else for these commands.
        """
        context, course_id = self.context, command.course_id
        if command.action != ENROLL:
            return False
        if course_id not in self.independent:
            self.independent[course_id] = self._is_independent(course_id)
        return (
            self.independent[course_id]
            and not command.waived_codes
            and command.if_version is None
            and command.instead_of is None
            and not context.waitlist_lengths[course_id]
            and command.key not in context.latest_enrollments
            and command.student_id in context.student_is_active
            and command.student_id not in context.holds
            and command.student_id not in context.other_waitlists
        )

    def _is_independent(self, course_id: int) -> bool:
        """Return True if no rule of a known course reads what the student has in other courses."""
        course = self.context.courses.get(course_id)
        return bool(course and not course.prerequisites and not self.context.depends_on_other_courses(course_id))

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
            if enrollment.status == ENROLLED:
                self.row_templates[template_key] = clone_instance(enrollment), clone_instance(self.events[-1])
        self.outcomes.append(Outcome(command, enrollment, True, created=True))

    def promote(self, course_id: int) -> None:
        """
        Give a course's free seats to waitlisted students.

        If the rules refuse a student, pass over the student, and record the reason in the journal, but not again while
        the reason stays the same.
        """
        if self.context.waitlists.get(course_id):
            with in_english():
                self._promote(course_id)

    def consider_only(self, course_ids: Iterable[int], key_filter: Callable[[EnrollmentKey], bool]) -> None:
        """
        Leave the other students on the waitlists of these courses out of account. ``key_filter`` takes (student id,
        course id).
        """
        waitlists = self.context.waitlists
        for course_id in waitlists.keys() & {*course_ids}:
            waitlists[course_id] = [waiter for waiter in waitlists[course_id] if key_filter(waiter.key)]

    def promote_all(self) -> None:
        """Give the free seats of all courses in the context to waitlisted students."""
        for course_id in sorted(self.context.courses):
            self.promote(course_id)

    @property
    def promoted(self) -> list[StudentCourse]:
        """The enrollments that were promoted from the waitlist."""
        return [event.enrollment for event in self.events if event.action == Action.PROMOTE]

    def _promote(self, course_id: int) -> None:
        affected: dict[int, None] = {}  # the courses in which a promotion may free a seat or make a student eligible
        for waiter, decision in iter_promotion_candidates(course_id, self.context):
            if not decision.refusals:
                replaced = self.context.replaced(waiter.student_id, waiter.instead_of_id)
                if replaced:
                    self._end(replaced, course_id, by_system=True)
                    others = self.context.other_waitlists.get(waiter.student_id, ())
                    affected.update(dict.fromkeys((replaced.course_id, *others)))
                affected.update(dict.fromkeys(self.context.courses_requiring(course_id)))
                values = {"enrolled_on": self.context.today, "instead_of_id": None}
                self._update(waiter, ENROLLED, values, Action.PROMOTE, decision)
                continue
            key = waiter.student_id, course_id
            codes = decision.refusal_codes
            if self.context.last_pass_over_codes.get(key) != codes:
                self.context.last_pass_over_codes[key] = codes
                reason = join_messages(refusal.message for refusal in decision.refusals)
                self._add_event(waiter, waiter.status, {}, Action.PASS_OVER, decision, reason)
        # This ends, although courses may require each other: only a promotion leads to other courses, and it makes a
        # waitlist shorter.
        for each in affected:
            if each not in self.context.before_waitlist:
                self.promote(each)

    def _end_replaced(self, command: EnrollmentCommand, decision: Decision) -> StudentCourse | None:
        """
        End the enrollment that a command replaces, and return it; None if there is none, or if the student has to wait.

        A student who waits with a wish to leave another course leaves it, too, if the command gives a seat.
        """
        if command.action != ENROLL or next_status(command, self.context) != ENROLLED:
            return None
        replaced = self.context.replaced(command.student_id, self.context.course_to_leave(command))
        if replaced:
            self._end(replaced, command.course_id, command.reason)
        return replaced

    def _end(self, enrollment: StudentCourse, course_id: int, reason: str = "", *, by_system: bool = False) -> None:
        """
        End an enrollment that one in another course replaces. The journal has this entry before that of the other one.
        """
        drop = EnrollmentCommand(Action.DROP, *enrollment.key)
        status = next_status(drop, self.context)
        fields = self._new_values(drop, enrollment, status)
        self._update(enrollment, status, fields, Action.DROP, Decision(), reason, by_system=by_system)
        self.swapped.append(self.events[-1])
        self.context.swapped.add((*enrollment.key, course_id))

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
        journal.append(self.events)

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
        is_new = command.action == ENROLL and (enrollment is None or not enrollment.is_open)
        if is_new:
            enrollment = clone_instance(
                ENROLLMENT_TEMPLATE,
                student_id=command.student_id,
                course_id=command.course_id,
                version=0,
                created_at=self.context.now,
            )
            self.context.set_related_objects(enrollment)
            self.created.append(enrollment)
        assert enrollment is not None  # the rules refuse every other action for a student who has no enrollment
        fields = (
            self._restored_values(command) if command.action == UNDO else self._new_values(command, enrollment, status)
        )
        self._update(enrollment, status, fields, command.action, decision, command.reason)
        if status == WAITLISTED and is_new:
            enrollment.annotated_waitlist_position = self.context.waitlist_lengths[command.course_id]
        return is_new

    def _new_values(self, command: EnrollmentCommand, enrollment: StudentCourse, status: Status) -> dict[str, Any]:
        """Return the values that a command gives to fields other than the status."""
        if status == ENROLLED:
            return {"enrolled_on": enrollment.enrolled_on or self.context.today, "instead_of_id": None}
        if status == WAITLISTED:
            waitlisted_at = enrollment.waitlisted_at or self.context.next_waitlist_timestamp(command.course_id)
            return {"waitlisted_at": waitlisted_at, "instead_of_id": command.instead_of}
        grade = enrollment.grade if command.grade is None else command.grade
        return {"ended_on": enrollment.ended_on or self.context.today, "grade": grade, "instead_of_id": None}

    def _restored_values(self, command: EnrollmentCommand) -> dict[str, Any]:
        """
        Return the values that the enrollment had before the event that is undone.

        If the event created the enrollment, it ends today.
        """
        last_event = self.context.last_events[command.key]
        if not last_event.from_status:
            return {"ended_on": self.context.today, "instead_of_id": None}
        return {name: journal.parse_value(name, before) for name, (before, _after) in last_event.changes.items()}

    def _update(
        self,
        enrollment: StudentCourse,
        status: Status,
        fields: dict[str, Any],
        action: Action,
        decision: Decision,
        reason: str = "",
        *,
        by_system: bool = False,
    ) -> None:
        from_status, from_grade = enrollment.status, enrollment.grade
        if enrollment.pk:
            self.updated[enrollment.pk] = enrollment
        enrollment.status = status
        changes = journal.diff(fields, enrollment)
        for name, value in fields.items():
            setattr(enrollment, name, value)
        enrollment.version += 1
        enrollment.updated_at = self.context.now
        self.context.apply_change(enrollment, before=from_status, grade_before=from_grade)
        self._add_event(enrollment, from_status, changes, action, decision, reason, by_system=by_system)

    def _add_event(
        self,
        enrollment: StudentCourse,
        from_status: str,
        changes: dict[str, Any],
        action: Action,
        decision: Decision,
        reason: str,
        *,
        by_system: bool = False,
    ) -> None:
        """
        Add a journal entry.

        A promotion or pass-over has no actor and the channel system, but the same request id. So has the end of the
        enrollment that a promotion replaces (``by_system``); it belongs to no import, whose undo does not end the
        promotion either.
        """
        is_system_generated = by_system or action in SYSTEM_ACTIONS
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
            refusals=decision.refusal_codes,
            request_id=self.actor.request_id,
            file_import_id=None if by_system else self.actor.import_id,
        )
        event._state.fields_cache = {"enrollment": enrollment}
        self.events.append(event)
        self.context.record_event(event)
