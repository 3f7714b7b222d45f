"""The facts on which decisions depend, updated with each decision. ``students.enrollment.loading`` reads them."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

from django.utils import timezone
from django.utils.functional import cached_property

from courses.grades import GradeTable
from courses.models import Course
from courses.prerequisite_items import Item, is_met
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.other_courses import OtherCourses
from students.models import Action, EnrollmentEvent, Hold, Status, Student, StudentCourse

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
ENROLLED, COMPLETED, WAITLISTED, DROPPED = Status.ENROLLED, Status.COMPLETED, Status.WAITLISTED, Status.DROPPED
ENROLL = Action.ENROLL

EnrollmentKey = tuple[int, int]  # the id of a student and the id of a course

NO_GRADES = GradeTable()

# The actions that the system executes by itself, as a result of commands by users or clients.
SYSTEM_ACTIONS = (Action.PROMOTE, Action.PASS_OVER)
# The actions that can free a seat, and by which the student may qualify for other courses: by a passed course, or by
# credits and time that the student no longer needs. An undo restores the grade before a correction.
SEAT_FREEING_ACTIONS = (Action.DROP, Action.COMPLETE, Action.UNDO)


@dataclass
class DecisionContext:
    """
    The current facts that a batch of commands needs.

    - ``student_is_active`` maps a student id to ``Student.is_active``.
    - ``holds`` maps a student id to the holds that are not released; a student without one is missing.
    - ``latest_enrollments`` maps an enrollment key to the latest enrollment, ``last_events`` to the last journal entry
      about it that is not system-generated.
    - ``seats_taken`` maps a course id to the number of taken seats, ``waitlist_lengths`` to the length of the waitlist,
      ``last_waitlisted_at`` to the time at which the last student joined it.
    - ``waitlists`` has the waitlists, in order, of courses where a seat is or may become free. ``waitlist_waivers``
      maps a waitlisted enrollment key to the codes of the rules waived for it, ``last_pass_over_codes`` to the codes of
      the refusals for which it was last passed over. ``requiring`` maps a course code to those of these courses that
      have it as a corequisite. ``undo_waivers`` maps an enrollment key to the codes of the rules that its undo waives,
      because they were waived for what it restores.
    - ``completed`` counts how often a student has passed a course code, for the courses' prerequisites;
      ``completed_with`` counts the completions of a code with a grade. ``grades`` is the table of grades, None if no
      decision of the batch depends on it.
    - ``other_waitlists`` maps a student who may pass or leave a course by a command to the other courses in which that
      student is waitlisted, and may qualify for a seat.
    - ``swapped`` has the ids of a student, of a course that the student left by a swap, and of the course in which the
      student has a seat by it.
    - ``requested`` has the ids of students, and the codes and the ids of the terms of the courses in which a batch of
      all or none enrolls them.
    - ``other_courses`` has what students have in all courses, for courses that depend on it. ``with_sections`` has the
      courses of which there are other sections.
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
    holds: dict[int, list[Hold]] = field(default_factory=dict)
    students: dict[int, Student] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    latest_enrollments: dict[EnrollmentKey, StudentCourse] = field(default_factory=dict)
    last_events: dict[EnrollmentKey, EnrollmentEvent] = field(default_factory=dict)
    seats_taken: Counter[int] = field(default_factory=Counter)
    waitlist_lengths: Counter[int] = field(default_factory=Counter)
    waitlists: dict[int, list[StudentCourse]] = field(default_factory=dict)
    last_waitlisted_at: dict[int, datetime] = field(default_factory=dict)
    requiring: dict[str, list[int]] = field(default_factory=dict)
    waitlist_waivers: dict[EnrollmentKey, frozenset[str]] = field(default_factory=dict)
    undo_waivers: dict[EnrollmentKey, frozenset[str]] = field(default_factory=dict)
    last_pass_over_codes: dict[EnrollmentKey, list[str]] = field(default_factory=dict)
    other_waitlists: dict[int, list[int]] = field(default_factory=dict)
    other_courses: OtherCourses = field(default_factory=OtherCourses)
    swapped: set[tuple[int, int, int]] = field(default_factory=set)
    requested: frozenset[tuple[int, str, int | None]] = frozenset()
    with_sections: set[int] = field(default_factory=set)
    completed: dict[tuple[int, str], int] = field(default_factory=partial(defaultdict, int))
    completed_with: dict[tuple[int, str, str], int] = field(default_factory=partial(defaultdict, int))
    grades: GradeTable | None = None
    visible_codes: frozenset[str] | None = None

    @cached_property
    def today(self) -> date:
        """The date in ``TIME_ZONE``."""
        return timezone.localdate(self.now)

    @property
    def grade_table(self) -> GradeTable:
        """The table of grades; an empty one if it was not loaded."""
        return self.grades or NO_GRADES

    def depends_on_other_courses(self, course_id: int) -> bool:
        """Return True if a rule about a seat in the course reads the student's enrollments in other courses."""
        return course_id in self.with_sections or self.courses[course_id].depends_on_other_courses

    def meets(self, student_id: int, item: Item) -> bool:
        """Return True if the student meets an item of prerequisites."""

        def has_passed(code: str, minimum: str) -> bool:
            if not minimum or not self.grade_table:
                return self.completed[student_id, code] > 0
            enough = [grade for grade in ("", *self.grade_table.rows) if self.grade_table.passes(grade, minimum)]
            return any(self.completed_with[student_id, code, grade] > 0 for grade in enough)

        return is_met(item, has_passed)

    def takes(self, student_id: int, code: str, course: Course) -> bool:
        """Return True if the student takes a code in the term of a course, also by this batch, or has passed it."""
        enrolled = self.other_courses.enrolled[student_id].values()
        return (
            self.completed[student_id, code] > 0
            or (student_id, code, course.term_id) in self.requested
            or any((each.code, each.term_id) == (code, course.term_id) for each in enrolled)
        )

    def courses_requiring(self, course_id: int) -> list[int]:
        """Return the ids of the courses with waitlists that have a course as a corequisite in its term."""
        course = self.courses[course_id]
        return [pk for pk in self.requiring.get(course.code, ()) if self.courses[pk].term_id == course.term_id]

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

    @contextmanager
    def without(self, student_id: int, course_id: int | None) -> Iterator[None]:
        """Let the rules decide as if the student had no seat in a course."""
        course = self.courses.get(course_id or 0)
        is_held = course is not None and course.pk in self.other_courses.enrolled.get(student_id, {})
        if not is_held or course is None:
            yield
            return
        self.other_courses.apply_change(student_id, course, ENROLLED, DROPPED)
        try:
            yield
        finally:
            self.other_courses.apply_change(student_id, course, DROPPED, ENROLLED)

    def course_to_leave(self, command: EnrollmentCommand) -> int | None:
        """Return the id of the course that the student leaves for a seat, by the command or while waiting for it."""
        waiting = self.latest_enrollments.get(command.key)
        wish = waiting.instead_of_id if waiting and waiting.status == WAITLISTED else None
        return wish if command.instead_of is None and command.action == ENROLL else command.instead_of

    def replaced(self, student_id: int, course_id: int | None) -> StudentCourse | None:
        """Return the enrollment that a swap ends: that of the student in a course, if it has a seat."""
        enrollment = self.latest_enrollments.get((student_id, course_id or 0))
        return enrollment if enrollment and enrollment.status == ENROLLED else None

    def set_related_objects(self, enrollment: StudentCourse) -> None:
        """
        Set the related objects of an enrollment: its course, and its student if that was read.

        Otherwise Django would query both.
        """
        related = enrollment._state.fields_cache
        related["course"] = self.courses[enrollment.course_id]
        if enrollment.student_id in self.students:
            related["student"] = self.students[enrollment.student_id]

    def apply_change(self, enrollment: StudentCourse, *, before: str, grade_before: str = "") -> None:
        """
        Store an enrollment's new state, so that the next decision of the batch considers it.

        ``before`` and ``grade_before`` are its status and its grade before the change.
        """
        (student_id, course_id), after = enrollment.key, enrollment.status
        self.latest_enrollments[student_id, course_id] = enrollment
        self.seats_taken[course_id] += _delta(ENROLLED, before, after)
        if self.other_courses.max_credits:
            self.other_courses.apply_change(student_id, self.courses[course_id], before, after)
        if COMPLETED in (before, after):
            code = self.courses[course_id].code
            self.count_completion(student_id, code, grade_before, -int(before == COMPLETED))
            self.count_completion(student_id, code, enrollment.grade, int(after == COMPLETED))
        waitlist_change = _delta(WAITLISTED, before, after)
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

    def count_completion(self, student_id: int, code: str, grade: str, count: int = 1) -> None:
        """Add completions of a course to those of the student, or remove them if ``count`` is negative."""
        self.completed_with[student_id, code, grade] += count
        if self.grade_table.passes(grade):
            self.completed[student_id, code] += count

    def record_event(self, event: EnrollmentEvent) -> None:
        """Store a new journal entry, so that the next decision of the batch considers it."""
        key = event.enrollment.key
        if event.action not in SYSTEM_ACTIONS:
            self.last_events[key] = event
        if event.action == ENROLL and event.to_status == WAITLISTED:
            if event.from_status != WAITLISTED:  # the wish for a swap leaves the waiver as it is
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
