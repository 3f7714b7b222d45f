"""What a batch decides, one act after the other, and how it is written at once: rows, journal, log."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import structlog

from school.copying import insert_many
from school.pressing import press
from school.spoken import in_english
from students import journal
from students.acts import Act, Origin, Outcome
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse
from students.register import BY_ITSELF, Register
from students.rules import Verdict, verdict
from students.transitions import is_done_already, is_settled, status_after
from students.waitlist import next_in_line

logger = structlog.get_logger(__name__)

LOG_NAMES: dict[str, str] = {
    Action.ENROLL: "enrollment_created",
    Action.DROP: "enrollment_dropped",
    Action.COMPLETE: "enrollment_completed",
    Action.UNDO: "enrollment_undone",
    Action.PROMOTE: "enrollment_promoted",
    Action.PASS_OVER: "enrollment_passed_over",
}

UPDATED = ("status", *journal.STATE, "version", "updated_at")


@dataclass
class Ledger:
    """What was decided so far, and not written yet."""

    register: Register
    origin: Origin
    outcomes: list[Outcome] = field(default_factory=list)
    created: list[StudentCourse] = field(default_factory=list)
    updated: dict[int, StudentCourse] = field(default_factory=dict)
    events: list[EnrollmentEvent] = field(default_factory=list)
    verdicts: dict[Hashable, Verdict] = field(default_factory=dict)
    plates: dict[Hashable, tuple[StudentCourse, EnrollmentEvent]] = field(default_factory=dict)

    def decide(self, act: Act, *, promoting: bool = True) -> None:
        """Do an act if the rules allow it, and give the seat that it frees to who waits, unless that is for later."""
        if is_settled(act, self.register):
            self.outcomes.append(Outcome(act, self.register.latest[act.pair], changed=False))
            return
        if self._is_plain(act):
            self._decide_plain(act)
            return
        found = verdict(act, self.register)
        changed = not found.refusals and not is_done_already(act, self.register)
        if changed:
            self._enter(act, found)
            if promoting:
                self.promote(act.course_id)
            if promoting and act.action == Action.COMPLETE:
                for course_id in self.register.waits_elsewhere.get(act.student_id, ()):
                    self.promote(course_id)
        self.outcomes.append(Outcome(act, self.register.latest.get(act.pair), changed, found.refusals))

    def is_simple(self, act: Act) -> bool:
        """Tell whether nothing but the act itself can follow from deciding it: nobody waits, and nothing is waived."""
        return act.course_id in self.register.courses and (is_settled(act, self.register) or self._is_plain(act))

    def _is_plain(self, act: Act) -> bool:
        """
        Tell whether the rules see no more of an act than its course and whether the student is active.

        So it is for a newcomer who is enrolled without a waiver in a course that nobody waits for and that asks for
        nothing: most acts of most batches. ``tests/students/test_plain.py`` holds the rules to that.
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
        """Decide as ``decide`` does, asking the rules once for all acts that they cannot tell apart."""
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
        self.outcomes.append(Outcome(act, enrollment, True))

    def promote(self, course_id: int) -> None:
        """Give a course's free seats to who waits for them, and tell the journal, once, why somebody is passed over."""
        with in_english():
            self._promote(course_id)

    def _promote(self, course_id: int) -> None:
        for waiter, found in next_in_line(course_id, self.register):
            if not found.refusals:
                self._change(waiter, Status.ENROLLED, {"enrolled_on": self.register.today}, Action.PROMOTE, found)
                continue
            pair = waiter.student_id, course_id
            codes = [refusal.code for refusal in found.refusals]
            if self.register.passed_over_for.get(pair) != codes:
                self.register.passed_over_for[pair] = codes
                why = " ".join(refusal.message for refusal in found.refusals)
                self._record(waiter, waiter.status, {}, Action.PASS_OVER, found, why)

    def write(self) -> None:
        # Updates first: a row that ends makes room for the same student's next one.
        if self.updated:
            # One upsert by primary key instead of bulk_update: its CASE for every row and field is quadratic.
            StudentCourse.objects.bulk_create(
                self.updated.values(), update_conflicts=True, unique_fields=["pk"], update_fields=UPDATED
            )
        # Course by course, as the indexes lie; who came first stays first, since ids are places in line too.
        insert_many(sorted(self.created, key=attrgetter("course_id")))
        journal.append(self.events)

    def log(self) -> None:
        """Log each act and what followed from it, with ids only."""
        for outcome in self.outcomes:
            log_outcome(outcome, self.origin)
        for event in self.events:
            if event.action in BY_ITSELF:
                log = _logger(event.enrollment.pair, event.enrollment, self.origin)
                log.info(LOG_NAMES[event.action], codes=event.refusals)

    def log_refusals(self) -> None:
        for outcome in self.outcomes:
            if outcome.refusals:
                log_outcome(outcome, self.origin)

    def tally(self, *, done: bool) -> tuple[Counter[tuple[str, str]], Counter[str]]:
        """Return how many acts were done, by action and channel, if they were, and how many refused, by code."""
        acts = Counter((str(event.action), str(event.channel)) for event in self.events if done)
        return acts, Counter(refusal.code for outcome in self.outcomes for refusal in outcome.refusals)

    def _enter(self, act: Act, found: Verdict) -> None:
        """Change the enrollment that the act is about, or begin one."""
        enrollment, status = self.register.latest.get(act.pair), status_after(act, self.register)
        if act.action == Action.ENROLL and (enrollment is None or not enrollment.is_open):
            enrollment = StudentCourse(
                student_id=act.student_id, course_id=act.course_id, version=0, created_at=self.register.now
            )
            self.register.introduce(enrollment)
            self.created.append(enrollment)
        assert enrollment is not None  # who never was in a course neither leaves nor completes it
        fields = self._taken_back(act) if act.action == Action.UNDO else self._wanted(act, enrollment, status)
        self._change(enrollment, status, fields, act.action, found, act.reason)
        if status == Status.WAITLISTED:
            enrollment.position = self.register.waiting[act.course_id]

    def _wanted(self, act: Act, enrollment: StudentCourse, status: Status) -> dict[str, Any]:
        """Return the fields that an act gives a value, beside the status."""
        if status == Status.ENROLLED:
            return {"enrolled_on": self.register.today}
        if status == Status.WAITLISTED:
            return {"waitlisted_at": self.register.arrival(act.course_id)}
        grade = enrollment.grade if act.grade is None else act.grade
        return {"ended_on": enrollment.ended_on or self.register.today, "grade": grade}

    def _taken_back(self, act: Act) -> dict[str, Any]:
        """Return the fields as they were before the act that is undone; what had not begun then ends today."""
        undone = self.register.last_acts[act.pair]
        if not undone.from_status:
            return {"ended_on": self.register.today}
        return {name: journal.from_json(name, before) for name, (before, _after) in undone.changes.items()}

    def _change(
        self,
        enrollment: StudentCourse,
        status: Status,
        fields: dict[str, Any],
        action: Action,
        found: Verdict,
        reason: str = "",
    ) -> None:
        from_status, before = enrollment.status, journal.state_of(enrollment)
        if enrollment.pk:
            self.updated[enrollment.pk] = enrollment
        enrollment.status = status
        for name, value in fields.items():
            setattr(enrollment, name, value)
        enrollment.version += 1
        enrollment.updated_at = self.register.now
        self.register.enter(enrollment, before=from_status)
        changes = journal.changes_between(before, journal.state_of(enrollment))
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
        """Enter one line into the journal. What follows by itself is the system's doing, in the same request."""
        by_itself = action in BY_ITSELF
        event = EnrollmentEvent(
            enrollment=enrollment,
            action=action,
            at=self.register.now,
            actor_id=None if by_itself else self.origin.actor_id,
            channel=Channel.SYSTEM if by_itself else self.origin.channel,
            from_status=from_status,
            to_status=enrollment.status,
            changes=changes,
            reason=reason,
            waived=list(found.waived),
            refusals=[refusal.code for refusal in found.refusals],
            request_id=self.origin.request_id,
            file_import_id=self.origin.import_id,
        )
        self.events.append(event)
        self.register.note(event)


def log_outcome(outcome: Outcome, origin: Origin) -> None:
    """Log what became of an act, with ids only."""
    log = _logger(outcome.act.pair, outcome.enrollment, origin)
    if outcome.refusals:
        codes = [refusal.code for refusal in outcome.refusals]
        log.info("enrollment_refused", action=str(outcome.act.action), codes=codes)
    elif outcome.changed:
        log.info(LOG_NAMES[outcome.act.action])


def _logger(pair: tuple[int, int], enrollment: StudentCourse | None, origin: Origin) -> Any:
    student_id, course_id = pair
    return logger.bind(
        student_id=student_id,
        course_id=course_id,
        enrollment_id=enrollment and enrollment.pk,
        actor_id=origin.actor_id,
        channel=str(origin.channel),
    )
