"""Simulates registration day: students send requests, and the responses are compared with the database."""

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from bench.processes import Failed
from courses.models import Course, Level
from stress.clients import Client
from stress.invariants import lost_enrollments
from students.models import OPEN_STATUSES, Action, EnrollmentEvent, Status, Student, StudentCourse

DROPS = 0.15  # the share of students that drop immediately, and that drop after another student was refused
RETURNS = 0.5  # the share of students that enroll again after an immediate drop
QUIET = 1.0  # seconds without a journal entry after which no request is running
PATIENCE = 60.0  # seconds

Pair = tuple[int, int]  # student id, course id


@dataclass
class Registration:
    """
    The responses to students.

    For the pairs in ``uncertain`` a request had a timeout, so the server may execute it after a later request.
    """

    enrollments: set[int] = field(default_factory=set)
    dropped: set[Pair] = field(default_factory=set)
    last_status: dict[Pair, str] = field(default_factory=dict)
    uncertain: set[Pair] = field(default_factory=set)
    enrolled: deque[Pair] = field(default_factory=deque)
    already_done: int = 0
    unexpected: list[str] = field(default_factory=list)

    def register(self, client: Client, pair: Pair) -> None:
        """
        Send the requests of a student: enroll or join the waitlist.

        Some students drop, and some of these enroll again.
        """
        self.enroll(client, pair)
        if self.last_status[pair] and client.rng.random() < DROPS:
            self.drop(client, pair)
            if client.rng.random() < RETURNS:
                self.enroll(client, pair)
        if self.last_status[pair]:
            self.enrolled.append(pair)
        elif client.rng.random() < DROPS:
            with suppress(IndexError):
                self.drop(client, self.enrolled.popleft())

    def enroll(self, client: Client, pair: Pair) -> None:
        student_id, course_id = pair
        body = {"course_id": course_id, "on_full": "waitlist"}
        status, answer, is_first = client.call("POST", f"students/{student_id}/courses", body)
        if not is_first:
            self.uncertain.add(pair)
        if status in (200, 201):
            self.already_done += status == 200
            self.enrollments.add(answer["id"])
            self.last_status[pair] = answer["status"]
        else:
            self.last_status[pair] = ""
            if (status, answer["code"]) != (409, "waitlist_full"):
                self.unexpected.append(f"Enrolling was answered {status} {answer['code']}.")

    def drop(self, client: Client, pair: Pair) -> None:
        student_id, course_id = pair
        status, _answer, is_first = client.call("DELETE", f"students/{student_id}/courses/{course_id}")
        if not is_first:
            self.uncertain.add(pair)
        if status == 204:
            self.dropped.add(pair)
            self.last_status[pair] = ""
        else:
            self.unexpected.append(f"Dropping was answered {status}.")

    @property
    def refused(self) -> list[Pair]:
        """The pairs of student and course whose last response was a refusal."""
        return [pair for pair, status in self.last_status.items() if not status and pair not in self.dropped]

    def contradictions(self) -> list[str]:
        """Return a sentence for each response that contradicts the database."""
        rows = StudentCourse.objects.order_by("pk").values_list("student", "course", "status")
        newest = {
            (student_id, course_id): status if status in OPEN_STATUSES else "" for student_id, course_id, status in rows
        }
        drops = EnrollmentEvent.objects.filter(action=Action.DROP)
        unknown = self.dropped - set(drops.values_list("enrollment__student", "enrollment__course"))
        found = [*self.unexpected, *lost_enrollments(self.enrollments)]
        found += [f"Student {pair[0]} has left course {pair[1]}, and the journal does not know." for pair in unknown]
        for pair, expected in self.last_status.items():
            now = newest.get(pair, "")
            if (
                pair not in self.uncertain
                and now != expected
                and (expected, now) != (Status.WAITLISTED, Status.ENROLLED)
            ):
                found.append(
                    f"Student {pair[0]} was told {expected or 'no'} by course {pair[1]}, and is {now or 'out'}."
                )
        return found


def create_students(count: int) -> list[int]:
    """Create students, and return their ids."""
    made = Student.objects.bulk_create(
        Student(student_number=f"S-{number:05}", given_name="Ada", family_name=f"Byron {number}")
        for number in range(count)
    )
    return [student.pk for student in made]


def create_course(code: str, *, seats: int, places: int) -> Course:
    return Course.objects.create(
        code=code, name=code, level=Level.INTRODUCTORY, capacity=seats, waitlist_capacity=places
    )


def wait_until_idle() -> None:
    """Wait until the server has finished all requests, including those whose client had a timeout."""
    deadline = time.monotonic() + PATIENCE
    count, quiet_since = -1, time.monotonic()
    while time.monotonic() < deadline:
        now = EnrollmentEvent.objects.count()
        if now != count:
            count, quiet_since = now, time.monotonic()
        elif time.monotonic() - quiet_since > QUIET:
            return
        time.sleep(0.1)
    raise Failed("The server is still executing calls that had a timeout.")
