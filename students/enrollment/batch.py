"""The decisions of a batch of acts, one act after the other, and their writing: enrollments, journal and log."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from school.db.bulk_insert import insert_many, update_many
from school.db.instances import press
from school.i18n.stored_messages import in_english, joined, packed
from students.enrollment.commands import ActorContext, EnrollmentCommand, Outcome
from students.enrollment.context import SYSTEM_ACTIONS, DecisionContext, EnrollmentKey
from students.enrollment.reporting import count_metrics, report_outcomes
from students.enrollment.rules import Decision, evaluate
from students.enrollment.transitions import is_noop, is_unconditional_noop, next_status
from students.enrollment.waitlist import iter_waitlist
from students.events import log
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse

EVENT_TEMPLATE = EnrollmentEvent()
UPDATE_FIELDS = ("status", *log.STATE, "version", "updated_at")


@dataclass
class EnrollmentBatch:
    """The decisions of a batch so far, which are not written yet."""

    register: DecisionContext
    origin: ActorContext
    outcomes: list[Outcome] = field(default_factory=list)
    created: list[StudentCourse] = field(default_factory=list)
    updated: dict[int, StudentCourse] = field(default_factory=dict)
    events: list[EnrollmentEvent] = field(default_factory=list)
    verdicts: dict[Hashable, Decision] = field(default_factory=dict)
    plates: dict[Hashable, tuple[StudentCourse, EnrollmentEvent]] = field(default_factory=dict)

    def decide(self, act: EnrollmentCommand, *, promoting: bool = True) -> None:
        """
        Apply an act if the rules allow it, and give a seat that it frees to the next waitlisted student.

        The seat is not given away if ``promoting`` is False or the course is in the register's ``before_waitlist``.
        """
        if self._is_plain(act):
            self._decide_plain(act)
            return
        if is_unconditional_noop(act, self.register):
            self.outcomes.append(Outcome(act, self.register.latest[act.pair], changed=False))
            return
        found = evaluate(act, self.register)
        changed = not found.refusals and not is_noop(act, self.register)
        created = changed and self._enter(act, found)
        if changed:
            opened = [act.course_id] if promoting else []
            if promoting and act.action == Action.COMPLETE:
                opened += self.register.waits_elsewhere.get(act.student_id, ())
            for course_id in opened:
                if course_id not in self.register.before_waitlist:
                    self.promote(course_id)
        self.outcomes.append(Outcome(act, self.register.latest.get(act.pair), changed, found.refusals, created))

    def decide_all(self, acts: Iterable[EnrollmentCommand]) -> None:
        """Decide acts in their order. Each decision takes the ones before it into account."""
        for act in acts:
            self.decide(act)

    def _is_plain(self, act: EnrollmentCommand) -> bool:
        """
        Return True if the decision depends only on the course, ``student.is_active`` and ``act.on_full``.

        That is so if a student without an earlier enrollment in the course is enrolled without a waiver, and the course
        has no prerequisites and an empty waitlist: most acts of most batches. ``tests/students/test_plain.py`` checks
        that the rules read nothing else for these acts.
        """
        register = self.register
        course = register.courses.get(act.course_id)
        return (
            act.action == Action.ENROLL
            and course is not None
            and not act.waive
            and act.expected is None
            and not course.prerequisites
            and not register.waiting[act.course_id]
            and act.pair not in register.latest
            and act.student_id in register.active
        )

    def _decide_plain(self, act: EnrollmentCommand) -> None:
        """Decide as ``decide`` does, but evaluate the rules only once for all acts with the same decision."""
        register, course_id = self.register, act.course_id
        has_seat = register.has_seat(course_id)
        key = course_id, register.active[act.student_id], has_seat, act.on_full
        if key not in self.verdicts:
            self.verdicts[key] = evaluate(act, register)
        found = self.verdicts[key]
        if found.refusals:
            self.outcomes.append(Outcome(act, None, False, found.refusals))
            return
        plate = act.reason, self.origin
        if has_seat and plate in self.plates:
            enrollment, event = self.plates[plate]
            enrollment = press(enrollment, student_id=act.student_id, course_id=course_id)
            register.introduce(enrollment)
            event = press(event)
            event._state.fields_cache = {"enrollment": enrollment}
            self.created.append(enrollment)
            self.events.append(event)
            register.enter(enrollment, before="")
            register.note(event)
        else:
            self._enter(act, found)
            enrollment = register.latest[act.pair]
            if enrollment.status == Status.ENROLLED:
                self.plates[plate] = press(enrollment), press(self.events[-1])
        self.outcomes.append(Outcome(act, enrollment, True, created=True))

    def promote(self, course_id: int, among: Callable[[EnrollmentKey], bool] | None = None) -> None:
        """
        Give a course's free seats to waitlisted students, and journal once why a student is passed over.

        ``among`` takes (student id, course id) and returns True if the student is considered; without it all are.
        """
        line = self.register.lines.get(course_id)
        if not line:
            return
        if among is not None:
            self.register.lines[course_id] = [waiter for waiter in line if among(waiter.pair)]
        with in_english():
            self._promote(course_id)

    def promote_all(self, among: Callable[[EnrollmentKey], bool] | None = None) -> None:
        """Give the free seats of all courses in the register to waitlisted students; ``among`` as in ``promote``."""
        for course_id in sorted(self.register.courses):
            self.promote(course_id, among)

    @property
    def promoted(self) -> list[StudentCourse]:
        """The enrollments that were promoted from the waitlist."""
        return [event.enrollment for event in self.events if event.action == Action.PROMOTE]

    def _promote(self, course_id: int) -> None:
        for waiter, found in iter_waitlist(course_id, self.register):
            if not found.refusals:
                self._change(waiter, Status.ENROLLED, {"enrolled_on": self.register.today}, Action.PROMOTE, found)
                continue
            pair = waiter.student_id, course_id
            codes = [refusal.code for refusal in found.refusals]
            if self.register.passed_over_for.get(pair) != codes:
                self.register.passed_over_for[pair] = codes
                why = joined(refusal.message for refusal in found.refusals)
                self._record(waiter, waiter.status, {}, Action.PASS_OVER, found, why)

    def adopt(self, enrollment: StudentCourse) -> None:
        """Journal that an enrollment belongs to the dataset of the origin's import. The enrollment is not changed."""
        self._record(enrollment, enrollment.status, {}, Action.ADOPT, Decision(), "")

    def write(self) -> None:
        # Updates first: a student may have only one open row in a course, so the old row must end before the new one.
        update_many([self.updated[pk] for pk in sorted(self.updated)], UPDATE_FIELDS)
        # By course, for the locality of the indexes. The sort is stable, since ids also decide the waitlist order.
        insert_many(sorted(self.created, key=attrgetter("course_id")))
        log.append(self.events)

    def finish(self, *, done: bool = True) -> None:
        """
        Write the decisions if ``done``, record the refusals, and count and log the decisions.

        Counting and logging happen after the transaction is committed.
        """
        if done:
            self.write()
        count_metrics(self.outcomes, self.events, done=done)
        report_outcomes(self.outcomes, self.origin, self.events, done=done)

    def _enter(self, act: EnrollmentCommand, found: Decision) -> bool:
        """Change the enrollment of the act, or create one. Return True if one was created."""
        enrollment, status = self.register.latest.get(act.pair), next_status(act, self.register)
        begins = act.action == Action.ENROLL and (enrollment is None or not enrollment.is_open)
        if begins:
            enrollment = StudentCourse(
                student_id=act.student_id, course_id=act.course_id, version=0, created_at=self.register.now
            )
            self.register.introduce(enrollment)
            self.created.append(enrollment)
        assert enrollment is not None  # the rules refuse other actions without an enrollment
        fields = self._taken_back(act) if act.action == Action.UNDO else self._wanted(act, enrollment, status)
        self._change(enrollment, status, fields, act.action, found, act.reason)
        if status == Status.WAITLISTED:
            enrollment.position = self.register.waiting[act.course_id]
        return begins

    def _wanted(self, act: EnrollmentCommand, enrollment: StudentCourse, status: Status) -> dict[str, Any]:
        """Return the values that an act gives to fields other than the status."""
        if status == Status.ENROLLED:
            return {"enrolled_on": self.register.today}
        if status == Status.WAITLISTED:
            return {"waitlisted_at": self.register.arrival(act.course_id)}
        grade = enrollment.grade if act.grade is None else act.grade
        return {"ended_on": enrollment.ended_on or self.register.today, "grade": grade}

    def _taken_back(self, act: EnrollmentCommand) -> dict[str, Any]:
        """Return the values from before the act that is undone; an enrollment that it created ends today."""
        undone = self.register.last_acts[act.pair]
        if not undone.from_status:
            return {"ended_on": self.register.today}
        return {name: log.from_json(name, before) for name, (before, _after) in undone.changes.items()}

    def _change(
        self,
        enrollment: StudentCourse,
        status: Status,
        fields: dict[str, Any],
        action: Action,
        found: Decision,
        reason: str = "",
    ) -> None:
        from_status = enrollment.status
        if enrollment.pk:
            self.updated[enrollment.pk] = enrollment
        enrollment.status = status
        changes = log.changes_by(fields, enrollment)
        for name, value in fields.items():
            setattr(enrollment, name, value)
        enrollment.version += 1
        enrollment.updated_at = self.register.now
        self.register.enter(enrollment, before=from_status)
        self._record(enrollment, from_status, changes, action, found, reason)

    def _record(
        self,
        enrollment: StudentCourse,
        from_status: str,
        changes: dict[str, Any],
        action: Action,
        found: Decision,
        reason: str,
    ) -> None:
        """Add a journal entry. A promotion or a pass has no actor and the channel system, but the same request id."""
        by_itself = action in SYSTEM_ACTIONS
        event = press(
            EVENT_TEMPLATE,
            action=action,
            at=self.register.now,
            actor_id=None if by_itself else self.origin.actor_id,
            channel=Channel.SYSTEM if by_itself else self.origin.channel,
            from_status=from_status,
            to_status=enrollment.status,
            changes=changes,
            reason=reason,
            reason_parts=packed(reason),
            waived=list(found.waived),
            refusals=[refusal.code for refusal in found.refusals],
            request_id=self.origin.request_id,
            file_import_id=self.origin.import_id,
        )
        event._state.fields_cache = {"enrollment": enrollment}
        self.events.append(event)
        self.register.note(event)
