"""
Enroll, drop, complete: the verbs, and the only writers of ``StudentCourse``.

Each verb locks the courses, reads the facts once, decides every act by ``students.rules``, writes, and journals, in
one transaction. One act is a batch of one, and ``judge`` asks what would happen by the same path.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import structlog
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from courses.models import Course
from school.refusals import Refusal, Refused
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse
from students.rules import Act, Register, is_done_already, reasons_against, status_after

logger = structlog.get_logger(__name__)

LOG_NAMES = {
    Action.ENROLL: "enrollment_created",
    Action.DROP: "enrollment_dropped",
    Action.COMPLETE: "enrollment_completed",
}

# Everything that an act may change in a row that exists. Also the row's full text in the journal, beside the status.
STATE = ("enrolled_on", "ended_on", "waitlisted_at", "grade")
UPDATED = ("status", *STATE, "version", "updated_at")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, through which door, and when: what the journal keeps of every act. ``at`` None is now."""

    channel: Channel
    actor_id: int | None = None
    request_id: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an act: ``changed`` or left as it was, or refused with every reason."""

    act: Act
    enrollment: StudentCourse | None
    changed: bool
    refusals: tuple[Refusal, ...] = ()

    @property
    def accepted(self) -> bool:
        return not self.refusals


def enroll(*, student_id: int, course_id: int, origin: Origin, reason: str = "") -> Outcome:
    """Give the student a seat, or find the one already held. Raise ``Refused`` with every reason."""
    return _one(Act(Action.ENROLL, student_id, course_id, reason=reason), origin)


def drop(*, student_id: int, course_id: int, origin: Origin, reason: str = "") -> Outcome:
    """Give the seat back: dropped by the term's drop deadline, withdrawn after it. Raise ``Refused``."""
    return _one(Act(Action.DROP, student_id, course_id, reason=reason), origin)


def complete(*, student_id: int, course_id: int, origin: Origin, grade: str | None = None, reason: str = "") -> Outcome:
    """End the enrollment as completed, or correct the grade of a completed one. Raise ``Refused``."""
    return _one(Act(Action.COMPLETE, student_id, course_id, grade, reason), origin)


def enroll_many(pairs: Iterable[tuple[int, int]], *, origin: Origin) -> list[Outcome]:
    """Enroll (student id, course id) pairs in their order; an outcome for each."""
    return perform([Act(Action.ENROLL, *pair) for pair in pairs], origin)


def drop_many(pairs: Iterable[tuple[int, int]], *, origin: Origin, reason: str = "") -> list[Outcome]:
    """Drop (student id, course id) pairs in their order; an outcome for each."""
    return perform([Act(Action.DROP, *pair, reason=reason) for pair in pairs], origin)


def complete_many(
    pairs: Iterable[tuple[int, int]], *, origin: Origin, grade: str | None = None, reason: str = ""
) -> list[Outcome]:
    """Complete (student id, course id) pairs in their order, all with one grade; an outcome for each."""
    return perform([Act(Action.COMPLETE, *pair, grade, reason) for pair in pairs], origin)


@transaction.atomic
def perform(acts: Sequence[Act], origin: Origin, register: Register | None = None) -> list[Outcome]:
    """
    Do the acts in their order, each that the rules allow; an outcome for each.

    Act by act the answer is what it would have been had the acts come one by one. The number of queries does not
    depend on the number of acts, up to the chunks of the inserts.

    ``register`` is for who acts in several batches within one transaction: the courses that an earlier batch has
    locked are locked still, so what it knows of their seats is true and need not be counted again.
    """
    ledger = _decide(acts, origin, register)
    ledger.write()
    # A bulk door logs one line for all it did, and must not keep every act in memory until it commits.
    if origin.channel not in (Channel.IMPORT, Channel.COMMAND):
        transaction.on_commit(lambda: _log(ledger.outcomes, origin))
    return ledger.outcomes


@transaction.atomic
def judge(acts: Sequence[Act], origin: Origin) -> list[Outcome]:
    """
    Return what ``perform`` would answer now, and change nothing.

    Within a transaction of the caller's the courses stay locked, so that a ``perform`` in the same one answers alike.
    """
    outcomes = _decide(acts, origin).outcomes
    _log([outcome for outcome in outcomes if outcome.refusals], origin)
    return outcomes


def _one(act: Act, origin: Origin) -> Outcome:
    [outcome] = perform([act], origin)
    if not outcome.accepted:
        raise Refused(outcome.refusals)
    return outcome


def _decide(acts: Sequence[Act], origin: Origin, register: Register | None = None) -> "_Ledger":
    register = register or Register()
    _lock_and_read(acts, register, origin)
    ledger = _Ledger(register, origin)
    for act in acts:
        ledger.decide(act)
    return ledger


def _lock_and_read(acts: Sequence[Act], register: Register, origin: Origin) -> None:
    """
    Lock the courses, always in the order of their ids, and only then read the facts and the clock.

    NO KEY UPDATE is the weakest lock that excludes itself: it lets the foreign key checks of other inserts pass.
    """
    course_ids = {act.course_id for act in acts}
    courses = (
        Course.objects.filter(pk__in=course_ids - register.courses.keys())
        .select_related("term")
        .select_for_update(of=("self",), no_key=True)
        .order_by("pk")
    )
    locked = {course.pk: course for course in courses}
    register.now = origin.at or timezone.now()  # who got the lock later came later
    register.courses.update(locked)
    limited = [pk for pk, course in locked.items() if course.capacity is not None]
    seated = StudentCourse.objects.seated().filter(course__in=limited).order_by()
    register.taken.update(dict(seated.values_list("course").annotate(Count("pk"))))

    register.students = {student.pk: student for student in Student.objects.filter(pk__in={a.student_id for a in acts})}
    asked_for = {code for pk in course_ids & register.courses.keys() for code in register.courses[pk].prerequisites}
    passed = StudentCourse.objects.filter(student__in=register.students, course__code__in=asked_for)
    register.completed = set(passed.completed().values_list("student", "course__code"))
    register.latest = {}
    rows = StudentCourse.objects.filter(student__in=register.students, course__in=course_ids)
    # The newest row of a pair is read last and stays: an open row is always newer than the ended ones.
    for enrollment in rows.order_by("pk"):
        enrollment.student = register.students[enrollment.student_id]
        enrollment.course = register.courses[enrollment.course_id]
        register.latest[enrollment.student_id, enrollment.course_id] = enrollment


@dataclass
class _Ledger:
    """What a batch decided, kept until it is written at once."""

    register: Register
    origin: Origin
    outcomes: list[Outcome] = field(default_factory=list)
    created: list[StudentCourse] = field(default_factory=list)
    updated: dict[int, StudentCourse] = field(default_factory=dict)
    events: list[EnrollmentEvent] = field(default_factory=list)

    def decide(self, act: Act) -> None:
        refusals = tuple(reasons_against(act, self.register))
        changed = not refusals and not is_done_already(act, self.register)
        if changed:
            self._enter(act)
        self.outcomes.append(Outcome(act, self.register.latest.get(act.pair), changed, refusals))

    def write(self) -> None:
        # Updates first: a row that ends makes room for the same student's next one.
        if self.updated:
            # One upsert by primary key instead of bulk_update: its CASE for every row and field is quadratic.
            StudentCourse.objects.bulk_create(
                self.updated.values(), update_conflicts=True, unique_fields=["pk"], update_fields=UPDATED
            )
        StudentCourse.objects.bulk_create(self.created)
        EnrollmentEvent.objects.bulk_create(self.events)

    def _enter(self, act: Act) -> None:
        now, today = self.register.now, self.register.today
        if act.action == Action.ENROLL:
            enrollment = StudentCourse(
                student=self.register.students[act.student_id],
                course=self.register.courses[act.course_id],
                version=0,
                created_at=now,
            )
            self.created.append(enrollment)
        else:
            enrollment = self.register.latest[act.pair]
            if enrollment.pk:
                self.updated[enrollment.pk] = enrollment
        from_status = enrollment.status
        before = {name: getattr(enrollment, name) for name in STATE}

        enrollment.status = status_after(act, self.register)
        if act.action == Action.ENROLL:
            enrollment.enrolled_on = today
        elif enrollment.ended_on is None:
            enrollment.ended_on = today
        enrollment.grade = enrollment.grade if act.grade is None else act.grade
        enrollment.version += 1
        enrollment.updated_at = now

        self.register.enter(enrollment, before=from_status)
        self.events.append(
            EnrollmentEvent(
                enrollment=enrollment,
                action=act.action,
                at=now,
                actor_id=self.origin.actor_id,
                channel=self.origin.channel,
                from_status=from_status,
                to_status=enrollment.status,
                changes={
                    name: [_as_json(before[name]), _as_json(value)]
                    for name in STATE
                    if (value := getattr(enrollment, name)) != before[name]
                },
                reason=act.reason,
                request_id=self.origin.request_id,
            )
        )


def _as_json(value: str | date | None) -> str | None:
    return value if isinstance(value, str) or value is None else value.isoformat()


def _log(outcomes: Sequence[Outcome], origin: Origin) -> None:
    """Log each act, with ids only."""
    for outcome in outcomes:
        log = logger.bind(
            student_id=outcome.act.student_id,
            course_id=outcome.act.course_id,
            enrollment_id=outcome.enrollment and outcome.enrollment.pk,
            actor_id=origin.actor_id,
            channel=str(origin.channel),
        )
        if outcome.refusals:
            codes = [refusal.code for refusal in outcome.refusals]
            log.info("enrollment_refused", action=str(outcome.act.action), codes=codes)
        elif outcome.changed:
            log.info(LOG_NAMES[outcome.act.action])
