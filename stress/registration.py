"""Registration day: what students do at the API, what they were told, and whether it is so."""

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from bench.processes import Failed
from courses.models import Course, Level
from stress.clients import Client
from stress.invariants import missing
from students.models import OPEN_STATUSES, Action, EnrollmentEvent, Status, Student, StudentCourse

DROPS = 0.15  # how many leave again at once, and how often somebody leaves when another has found no place
RETURNS = 0.5  # how many of the first come back
QUIET = 1.0  # seconds without an entry in the journal after which nothing is under way any more
PATIENCE = 60.0  # seconds

Pair = tuple[int, int]  # a student's id and a course's


@dataclass
class Registration:
    """What students were told. ``uncertain`` are those who gave up a call: it may be done after a later one."""

    enrollments: set[int] = field(default_factory=set)
    dropped: set[Pair] = field(default_factory=set)
    told: dict[Pair, str] = field(default_factory=dict)
    uncertain: set[Pair] = field(default_factory=set)
    inside: deque[Pair] = field(default_factory=deque)
    done_unheard: int = 0
    surprises: list[str] = field(default_factory=list)

    def register(self, client: Client, pair: Pair) -> None:
        """Enroll or wait; some leave again, and some of these come back. In a full course the first ones leave."""
        self.enroll(client, pair)
        if self.told[pair] and client.dice.random() < DROPS:
            self.drop(client, pair)
            if client.dice.random() < RETURNS:
                self.enroll(client, pair)
        if self.told[pair]:
            self.inside.append(pair)
        elif client.dice.random() < DROPS:
            with suppress(IndexError):
                self.drop(client, self.inside.popleft())

    def enroll(self, client: Client, pair: Pair) -> None:
        student_id, course_id = pair
        wish = {"course_id": course_id, "on_full": "waitlist"}
        status, answer, is_first = client.call("POST", f"students/{student_id}/courses", wish)
        if not is_first:
            self.uncertain.add(pair)
        if status in (200, 201):
            self.done_unheard += status == 200
            self.enrollments.add(answer["id"])
            self.told[pair] = answer["status"]
        else:
            self.told[pair] = ""
            if (status, answer["code"]) != (409, "waitlist_full"):
                self.surprises.append(f"Enrolling was answered {status} {answer['code']}.")

    def drop(self, client: Client, pair: Pair) -> None:
        student_id, course_id = pair
        status, _answer, is_first = client.call("DELETE", f"students/{student_id}/courses/{course_id}")
        if not is_first:
            self.uncertain.add(pair)
        if status == 204:
            self.dropped.add(pair)
            self.told[pair] = ""
        else:
            self.surprises.append(f"Dropping was answered {status}.")

    @property
    def refused(self) -> list[Pair]:
        """Who was told last that there is no place."""
        return [pair for pair, status in self.told.items() if not status and pair not in self.dropped]

    def untrue(self) -> list[str]:
        """Return a sentence for everything that somebody was told and that is not so in the database."""
        rows = StudentCourse.objects.order_by("pk").values_list("student", "course", "status")
        newest = {
            (student_id, course_id): status if status in OPEN_STATUSES else "" for student_id, course_id, status in rows
        }
        drops = EnrollmentEvent.objects.filter(action=Action.DROP)
        unknown = self.dropped - set(drops.values_list("enrollment__student", "enrollment__course"))
        found = [*self.surprises, *missing(self.enrollments)]
        found += [f"Student {pair[0]} has left course {pair[1]}, and the journal does not know." for pair in unknown]
        for pair, told in self.told.items():
            now = newest.get(pair, "")
            if pair not in self.uncertain and now != told and (told, now) != (Status.WAITLISTED, Status.ENROLLED):
                found.append(f"Student {pair[0]} was told {told or 'no'} by course {pair[1]}, and is {now or 'out'}.")
        return found


def make_students(count: int) -> list[int]:
    """Make students, and return their ids."""
    made = Student.objects.bulk_create(
        Student(student_number=f"S-{number:05}", given_name="Ada", family_name=f"Byron {number}")
        for number in range(count)
    )
    return [student.pk for student in made]


def make_course(code: str, *, seats: int, places: int) -> Course:
    return Course.objects.create(
        code=code, name=code, level=Level.INTRODUCTORY, capacity=seats, waitlist_capacity=places
    )


def let_settle() -> None:
    """Come back when calls that were given up are done too: a server may have taken them up."""
    deadline = time.monotonic() + PATIENCE
    count, quiet_since = -1, time.monotonic()
    while time.monotonic() < deadline:
        now = EnrollmentEvent.objects.count()
        if now != count:
            count, quiet_since = now, time.monotonic()
        elif time.monotonic() - quiet_since > QUIET:
            return
        time.sleep(0.1)
    raise Failed("The server is still at work on calls that nobody waits for.")
