"""The decisions of a batch of acts, one act after the other, and their writing: enrollments, journal and log."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from school.db.bulk_insert import insert_many, update_many
from school.db.instances import clone_instance
from school.i18n.stored_messages import in_english, join_messages, parts_to_json
from students.enrollment.commands import Act, Origin, Outcome
from students.enrollment.context import BY_ITSELF, Pair, Register
from students.enrollment.reporting import count, report
from students.enrollment.rules import Verdict, verdict
from students.enrollment.transitions import is_done_already, is_settled, status_after
from students.enrollment.waitlist import next_in_line
from students.events import log
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse

BLANK = EnrollmentEvent()
UPDATED = ("status", *log.STATE, "version", "updated_at")


@dataclass
class Ledger:
    """The decisions of a batch so far, which are not written yet."""

    register: Register
    origin: Origin
    outcomes: list[Outcome] = field(default_factory=list)
    created: list[StudentCourse] = field(default_factory=list)
    updated: dict[int, StudentCourse] = field(default_factory=dict)
    events: list[EnrollmentEvent] = field(default_factory=list)
    verdicts: dict[Hashable, Verdict] = field(default_factory=dict)
    plates: dict[Hashable, tuple[StudentCourse, EnrollmentEvent]] = field(default_factory=dict)

    def decide(self, act: Act, *, promoting: bool = True) -> None:
        """
        Apply an act if the rules allow it, and give a seat that it frees to the next waitlisted student.

        The seat is not given away if ``promoting`` is False or the course is in the register's ``before_waitlist``.
        """
        if self._is_plain(act):
            self._decide_plain(act)
            return
        if is_settled(act, self.register):
            self.outcomes.append(Outcome(act, self.register.latest[act.pair], changed=False))
            return
        found = verdict(act, self.register)
        changed = not found.refusals and not is_done_already(act, self.register)
        created = changed and self._enter(act, found)
        if changed:
            opened = [act.course_id] if promoting else []
            if promoting and act.action == Action.COMPLETE:
                opened += self.register.waits_elsewhere.get(act.student_id, ())
            for course_id in opened:
                if course_id not in self.register.before_waitlist:
                    self.promote(course_id)
        self.outcomes.append(Outcome(act, self.register.latest.get(act.pair), changed, found.refusals, created))

    def decide_all(self, acts: Iterable[Act]) -> None:
        """Decide acts in their order. Each decision takes the ones before it into account."""
        for act in acts:
            self.decide(act)

    def _is_plain(self, act: Act) -> bool:
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

    def _decide_plain(self, act: Act) -> None:
        """Decide as ``decide`` does, but evaluate the rules only once for all acts with the same decision."""
        register, course_id = self.register, act.course_id
        has_seat = register.has_seat(course_id)
        key = course_id, register.active[act.student_id], has_seat, act.on_full
        if key not in self.verdicts:
            self.verdicts[key] = verdict(act, register)
        found = self.verdicts[key]
        if found.refusals:
            self.outcomes.append(Outcome(act, None, False, found.refusals))
            return
        plate = act.reason, self.origin
        if has_seat and plate in self.plates:
            enrollment, event = self.plates[plate]
            enrollment = clone_instance(enrollment, student_id=act.student_id, course_id=course_id)
            register.introduce(enrollment)
            event = clone_instance(event)
            event._state.fields_cache = {"enrollment": enrollment}
            self.created.append(enrollment)
            self.events.append(event)
            register.enter(enrollment, before="")
            register.note(event)
        else:
            self._enter(act, found)
            enrollment = register.latest[act.pair]
            if enrollment.status == Status.ENROLLED:
                self.plates[plate] = clone_instance(enrollment), clone_instance(self.events[-1])
        self.outcomes.append(Outcome(act, enrollment, True, created=True))

    def promote(self, course_id: int, among: Callable[[Pair], bool] | None = None) -> None:
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

    def promote_all(self, among: Callable[[Pair], bool] | None = None) -> None:
        """Give the free seats of all courses in the register to waitlisted students; ``among`` as in ``promote``."""
        for course_id in sorted(self.register.courses):
            self.promote(course_id, among)

    @property
    def promoted(self) -> list[StudentCourse]:
        """The enrollments that were promoted from the waitlist."""
        return [event.enrollment for event in self.events if event.action == Action.PROMOTE]

    def _promote(self, course_id: int) -> None:
        for waiter, found in next_in_line(course_id, self.register):
            if not found.refusals:
                self._change(waiter, Status.ENROLLED, {"enrolled_on": self.register.today}, Action.PROMOTE, found)
                continue
            pair = waiter.student_id, course_id
            codes = [refusal.code for refusal in found.refusals]
            if self.register.passed_over_for.get(pair) != codes:
                self.register.passed_over_for[pair] = codes
                why = join_messages(refusal.message for refusal in found.refusals)
                self._record(waiter, waiter.status, {}, Action.PASS_OVER, found, why)

    def adopt(self, enrollment: StudentCourse) -> None:
        """Journal that an enrollment belongs to the dataset of the origin's import. The enrollment is not changed."""
        self._record(enrollment, enrollment.status, {}, Action.ADOPT, Verdict(), "")

    def write(self) -> None:
        # Updates first: a student may have only one open row in a course, so the old row must end before the new one.
        update_many([self.updated[pk] for pk in sorted(self.updated)], UPDATED)
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
        count(self.outcomes, self.events, done=done)
        report(self.outcomes, self.origin, self.events, done=done)

    def _enter(self, act: Act, found: Verdict) -> bool:
        """Change the enrollment of the act, or create one. Return True if one was created."""
        enrollment, status = self.register.latest.get(act.pair), status_after(act, self.register)
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

    def _wanted(self, act: Act, enrollment: StudentCourse, status: Status) -> dict[str, Any]:
        """Return the values that an act gives to fields other than the status."""
        if status == Status.ENROLLED:
            return {"enrolled_on": self.register.today}
        if status == Status.WAITLISTED:
            return {"waitlisted_at": self.register.arrival(act.course_id)}
        grade = enrollment.grade if act.grade is None else act.grade
        return {"ended_on": enrollment.ended_on or self.register.today, "grade": grade}

    def _taken_back(self, act: Act) -> dict[str, Any]:
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
        found: Verdict,
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
        found: Verdict,
        reason: str,
    ) -> None:
        """Add a journal entry. A promotion or a pass has no actor and the channel system, but the same request id."""
        by_itself = action in BY_ITSELF
        event = clone_instance(
            BLANK,
            action=action,
            at=self.register.now,
            actor_id=None if by_itself else self.origin.actor_id,
            channel=Channel.SYSTEM if by_itself else self.origin.channel,
            from_status=from_status,
            to_status=enrollment.status,
            changes=changes,
            reason=reason,
            reason_parts=parts_to_json(reason),
            waived=list(found.waived),
            refusals=[refusal.code for refusal in found.refusals],
            request_id=self.origin.request_id,
            file_import_id=self.origin.import_id,
        )
        event._state.fields_cache = {"enrollment": enrollment}
        self.events.append(event)
        self.register.note(event)
