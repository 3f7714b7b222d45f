"""The facts on which decisions depend, updated with each decision. ``students.enrollment.loading`` reads them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils import timezone
from django.utils.functional import cached_property

from courses.models import Course
from students.enrollment.commands import EnrollmentCommand
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse

EnrollmentKey = tuple[int, int]  # the id of a student and the id of a course

# The actions that the system executes by itself, as a result of commands by users or clients.
SYSTEM_ACTIONS = (Action.PROMOTE, Action.PASS_OVER)


@dataclass
class DecisionContext:
    """
    The current facts that a batch of commands needs.

    - ``student_is_active`` maps a student id to ``Student.is_active``.
    - ``latest_enrollments`` maps an enrollment key to the latest enrollment, ``last_events`` to the last journal entry
      about it that is not system-generated.
    - ``seats_taken`` maps a course id to the number of taken seats, ``waitlist_lengths`` to the length of the waitlist,
      ``last_waitlisted_at`` to the time at which the last student joined it.
    - ``waitlists`` has the waitlists, in order, of courses where a seat is or may become free. ``waitlist_waivers``
      maps a waitlisted enrollment key to the codes of the rules waived for it, ``last_pass_over_codes`` to the codes of
      the refusals for which it was last passed over.
    - ``completed`` counts how often a student has completed a course code, for the courses' prerequisites.
    - ``other_waitlists`` maps a student that completes a course to the other courses in which that student is
      waitlisted.
    - ``visible_codes`` has the course codes that a message to the caller may name, None for all.

    Free seats of the courses ``before_waitlist`` go to the commands of the batch before waitlisted students. The seats
    left must be given to the waitlisted students by ``promote`` afterwards.

    With ``partial_rows`` the caller needs only the outcomes of the commands: students and enrollments have only the
    fields that rules read and commands change; any other field is loaded from the database when it is accessed.
    """

    now: datetime = field(default_factory=timezone.now)
    may_waive: bool = False
    partial_rows: bool = False
    before_waitlist: frozenset[int] = frozenset()
    student_is_active: dict[int, bool] = field(default_factory=dict)
    students: dict[int, Student] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    latest_enrollments: dict[EnrollmentKey, StudentCourse] = field(default_factory=dict)
    last_events: dict[EnrollmentKey, EnrollmentEvent] = field(default_factory=dict)
    seats_taken: Counter[int] = field(default_factory=Counter)
    waitlist_lengths: Counter[int] = field(default_factory=Counter)
    waitlists: dict[int, list[StudentCourse]] = field(default_factory=dict)
    last_waitlisted_at: dict[int, datetime] = field(default_factory=dict)
    waitlist_waivers: dict[EnrollmentKey, frozenset[str]] = field(default_factory=dict)
    last_pass_over_codes: dict[EnrollmentKey, list[str]] = field(default_factory=dict)
    other_waitlists: dict[int, list[int]] = field(default_factory=dict)
    completed: Counter[tuple[int, str]] = field(default_factory=Counter)
    visible_codes: frozenset[str] | None = None

    @cached_property
    def today(self) -> date:
        """The date in ``TIME_ZONE``."""
        return timezone.localdate(self.now)

    def status(self, command: EnrollmentCommand) -> str:
        """Return the status of the student's latest enrollment in the course, "" if there is none."""
        enrollment = self.latest_enrollments.get(command.key)
        return enrollment.status if enrollment else ""

    def has_seat(self, course_id: int) -> bool:
        """
        Return True if the course has a free seat, even if waitlisted students have priority for it: see
        ``can_take_seat``.
        """
        capacity = self.courses[course_id].capacity
        return capacity is None or self.seats_taken[course_id] < capacity

    def next_waitlist_timestamp(self, course_id: int) -> datetime:
        """
        Return the time at which an enrollment joins the waitlist now.

        It is never before that of the last one on the waitlist, even if the clocks of servers differ.
        """
        return max(self.now, self.last_waitlisted_at.get(course_id, self.now))

    def set_related_objects(self, enrollment: StudentCourse) -> None:
        """
        Set the related objects of an enrollment: its course, and its student if that was read.

        Otherwise Django would query both.
        """
        related = enrollment._state.fields_cache
        related["course"] = self.courses[enrollment.course_id]
        if enrollment.student_id in self.students:
            related["student"] = self.students[enrollment.student_id]

    def apply_change(self, enrollment: StudentCourse, *, before: str) -> None:
        """Store an enrollment's new state, so that the next decision of the batch considers it."""
        (student_id, course_id), after = enrollment.key, enrollment.status
        self.latest_enrollments[student_id, course_id] = enrollment
        self.seats_taken[course_id] += _delta(Status.ENROLLED, before, after)
        if completions := _delta(Status.COMPLETED, before, after):
            self.completed[student_id, self.courses[course_id].code] += completions
        waitlist_change = _delta(Status.WAITLISTED, before, after)
        if not waitlist_change:
            return
        self.waitlist_lengths[course_id] += waitlist_change
        waitlist = self.waitlists.get(course_id, [])
        if waitlist_change > 0:
            assert enrollment.waitlisted_at is not None
            self.last_waitlisted_at[course_id] = max(enrollment.waitlisted_at, self.next_waitlist_timestamp(course_id))
            waitlist.append(enrollment)
            waitlist.sort(key=_waitlist_sort_key)
        elif waitlist_change < 0 and enrollment in waitlist:
            waitlist.remove(enrollment)

    def record_event(self, event: EnrollmentEvent) -> None:
        """Store a new journal entry, so that the next decision of the batch considers it."""
        key = event.enrollment.key
        if event.action not in SYSTEM_ACTIONS:
            self.last_events[key] = event
        if event.action == Action.ENROLL and event.to_status == Status.WAITLISTED:
            self.waitlist_waivers[key] = frozenset(event.waived)
            self.last_pass_over_codes.pop(key, None)


def _delta(status: Status, before: str, after: str) -> int:
    return (after == status) - (before == status)


def _waitlist_sort_key(enrollment: StudentCourse) -> tuple[datetime, float]:
    """
    Return the sort key for a waitlist: the time of joining, then the id.

    An enrollment that has no id yet comes last.
    """
    assert enrollment.waitlisted_at is not None
    return enrollment.waitlisted_at, enrollment.pk or float("inf")
