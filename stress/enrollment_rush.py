"""
The rush: all students enroll in the same courses at the same time.

Some drop, some have short timeouts and retry, and a reader follows the change feed meanwhile. At the end, the number of
enrolled students must be the number of seats, and the number of waiting students must be the number of waitlist places.
"""

import random
from functools import partial

from django.db import connection

from bench.table import print_table
from courses.models import Course
from stress.clients import CLIENTS, Client, Responses, run_all
from stress.feed_reader import reading_changes
from stress.invariants import violations, wrong_counts
from stress.registration import Pair, Registration, create_course, create_students, wait_until_idle
from stress.server import Server, running_server
from students.models import Action, EnrollmentEvent

SEATS, PLACES, STUDENTS, COURSES = 300, 500, 2_000, 100
SHORT_DIVISOR = 4  # the numbers of a full run are divided by this in a short run
IMPATIENCE = 0.05  # the share of requests with a short timeout and a retry

HEAD = ["attempts", "attempts/s", "p50 ms", "p99 ms", "given up", "of these done", "201", "200", "204", "409", "5xx"]


def run(*, short: bool) -> list[str]:
    """Register all students in one course, then in a hundred; return a sentence for each problem."""
    times = SHORT_DIVISOR if short else 1
    students = create_students(STUDENTS // times)
    hot = create_course("HOT", seats=SEATS // times, places=PLACES // times)
    spread = [create_course(f"C-{n}", seats=STUDENTS // times // COURSES * 3 // 4, places=3) for n in range(COURSES)]
    rng = random.Random(1)
    with running_server() as server:
        token = server.token()
        lines, found = [], []
        with reading_changes(Client(server.port, token, seed=0)) as reader:
            for title, pairs in {
                "one hot course": [(student, hot.pk) for student in students],
                f"spread over {COURSES} courses": [(student, rng.choice(spread).pk) for student in students],
            }.items():
                registration = Registration()
                responses, seconds = register_all(registration, server, token, pairs)
                lines.append(table_line(title, responses, seconds, registration))
                found += [*responses.errors, *registration.contradictions()]
        found += reader.missed()
        found += [*wrong_counts(hot, enrolled=SEATS // times, waiting=PLACES // times), *violations()]
        if found and (tail := server.log_tail()):
            found.append(f"The end of the server's log: {tail}")
    print_table(f"The rush, {CLIENTS} clients", ["rush", *HEAD], lines)
    print(f"{promotions(hot)} were promoted in the hot course; {len(reader.read):,} changes were read as they came.")
    print(f"PostgreSQL had {deadlocks()} deadlocks.", flush=True)
    return found


def register_all(registration: Registration, server: Server, token: str, pairs: list[Pair]) -> tuple[Responses, float]:
    """
    Register all students, then register the refused students again with a long timeout, so that all places are taken.

    Return the responses of the rush with the errors of both steps, and the duration of the rush in seconds.
    """
    client = partial(Client, server.port, token)
    responses, seconds = run_all(
        pairs, registration.register, lambda number: client(seed=number, impatience=IMPATIENCE)
    )
    wait_until_idle()
    again, _seconds = run_all(registration.refused, registration.enroll, lambda number: client(seed=number))
    responses.answers.update({key: count for key, count in again.answers.items() if key[1] >= 500})
    return responses, seconds


def table_line(title: str, responses: Responses, seconds: float, registration: Registration) -> list[str]:
    """Return the line of the table for a rush."""
    took = sorted(responses.seconds)
    count = len(took)
    statuses = responses.by_status
    return [
        title,
        f"{count:,}",
        f"{count / seconds:,.0f}",
        f"{took[count // 2] * 1000:.0f}",
        f"{took[count * 99 // 100] * 1000:.0f}",
        str(responses.timed_out),
        str(registration.already_done),
        *(f"{statuses[status]:,}" for status in (201, 200, 204, 409)),
        str(sum(number for status, number in statuses.items() if status >= 500)),
    ]


def promotions(course: Course) -> int:
    return EnrollmentEvent.objects.filter(action=Action.PROMOTE, enrollment__course=course).count()


def deadlocks() -> int:
    """Return the number of deadlocks that PostgreSQL has detected in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        [count] = cursor.fetchone()
    return int(count)
