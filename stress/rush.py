"""
The rush: everybody wants the same seats at the same instant.

Some leave again, some do not wait for their answer and ask again, and somebody reads every change meanwhile. At the end
exactly as many are enrolled as there are seats, and exactly as many wait as the waitlist has places.
"""

import random
from functools import partial

from django.db import connection

from bench.table import print_table
from courses.models import Course
from stress.clients import CLIENTS, Client, Heard, let_all
from stress.invariants import misfilled, violations
from stress.reader import somebody_reading
from stress.registration import Pair, Registration, let_settle, make_course, make_students
from stress.server import Server, running_server
from students.models import Action, EnrollmentEvent

SEATS, PLACES, STUDENTS, COURSES = 300, 500, 2_000, 100
SHORTER = 4  # times
HASTE = 0.05  # how many calls are given up early and made again

HEAD = ["attempts", "attempts/s", "p50 ms", "p99 ms", "given up", "of these done", "201", "200", "204", "409", "5xx"]


def run(*, short: bool) -> list[str]:
    """Let everybody rush at one course, then at a hundred; return a sentence for everything that went wrong."""
    times = SHORTER if short else 1
    students = make_students(STUDENTS // times)
    hot = make_course("HOT", seats=SEATS // times, places=PLACES // times)
    spread = [make_course(f"C-{n}", seats=STUDENTS // times // COURSES * 3 // 4, places=3) for n in range(COURSES)]
    dice = random.Random(1)
    with running_server() as server:
        token = server.token()
        lines, found = [], []
        with somebody_reading(Client(server.port, token, seed=0)) as reader:
            for title, pairs in {
                "one hot course": [(student, hot.pk) for student in students],
                f"spread over {COURSES} courses": [(student, dice.choice(spread).pk) for student in students],
            }.items():
                registration = Registration()
                heard, seconds = everybody_registers(registration, server, token, pairs)
                lines.append(line(title, heard, seconds, registration))
                found += [*heard.errors, *registration.untrue()]
        found += reader.missed()
        found += [*misfilled(hot, enrolled=SEATS // times, waiting=PLACES // times), *violations()]
        if found and (words := server.last_words()):
            found.append(f"The server's last words: {words}")
    print_table(f"The rush, {CLIENTS} clients", ["rush", *HEAD], lines)
    print(f"{promotions(hot)} were promoted in the hot course; {len(reader.read):,} changes were read as they came.")
    print(f"PostgreSQL had {deadlocks()} deadlocks.", flush=True)
    return found


def everybody_registers(
    registration: Registration, server: Server, token: str, pairs: list[Pair]
) -> tuple[Heard, float]:
    """
    Let all register, and when it is quiet let who was refused ask once more, patiently: now all places are taken.

    Return what was heard in the rush itself, with the errors of both, and how many seconds it took.
    """
    client = partial(Client, server.port, token)
    heard, seconds = let_all(pairs, registration.register, lambda number: client(seed=number, haste=HASTE))
    let_settle()
    again, _seconds = let_all(registration.refused, registration.enroll, lambda number: client(seed=number))
    heard.answers.update({key: count for key, count in again.answers.items() if key[1] >= 500})
    return heard, seconds


def line(title: str, heard: Heard, seconds: float, registration: Registration) -> list[str]:
    """Return the line of the table about a rush."""
    took = sorted(heard.seconds)
    count = len(took)
    statuses = heard.by_status
    return [
        title,
        f"{count:,}",
        f"{count / seconds:,.0f}",
        f"{took[count // 2] * 1000:.0f}",
        f"{took[count * 99 // 100] * 1000:.0f}",
        str(heard.timed_out),
        str(registration.done_unheard),
        *(f"{statuses[status]:,}" for status in (201, 200, 204, 409)),
        str(sum(number for status, number in statuses.items() if status >= 500)),
    ]


def promotions(course: Course) -> int:
    return EnrollmentEvent.objects.filter(action=Action.PROMOTE, enrollment__course=course).count()


def deadlocks() -> int:
    """Return how many deadlocks PostgreSQL has ended in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        [count] = cursor.fetchone()
    return int(count)
