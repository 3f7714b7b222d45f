"""
Sixteen processes write to one SQLite file at the same time, and none of them gets the error that the database is
locked.

The timeout is that of a command. Processes that wait for SQLite do not form a queue: a process that retries immediately
is more likely to be next than one that has waited long, so the longest wait is many times the usual wait.
"""

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from threading import BrokenBarrierError
from typing import Any

from django.db import OperationalError, connections

from bench.processes import Failed
from bench.table import print_table
from school.refusals import Refused
from stress.invariants import lost_enrollments, violations
from stress.registration import create_course, create_students
from students.enrollment import complete, drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, StudentCourse

WRITERS = 16
ACTIONS = 300  # the number of actions of each process
SHORT_DIVISOR = 10  # the numbers of a full run are divided by this in a short run
COURSES, SEATS, PLACES, STUDENTS = 4, 20, 10, 200
PATIENCE = 60  # seconds

# All writers start at the same instant.
start = multiprocessing.get_context("fork").Barrier(WRITERS)


@dataclass
class WriterResult:
    """The results of a writer: enrollment ids, database errors, and the duration of each action."""

    enrollments: set[int] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def run(*, short: bool) -> list[str]:
    """Run all writers; return a sentence for each problem."""
    actions = ACTIONS // SHORT_DIVISOR if short else ACTIONS
    students = create_students(STUDENTS)
    courses = [create_course(f"C-{number}", seats=SEATS, places=PLACES).pk for number in range(COURSES)]
    connections.close_all()  # an SQLite connection must not be inherited by forked processes
    with ProcessPoolExecutor(WRITERS, multiprocessing.get_context("fork")) as pool:
        began = time.perf_counter()
        written = [pool.submit(write, number, actions, students, courses) for number in range(WRITERS)]
        results = [each.result() for each in written]
        took = time.perf_counter() - began
    errors = sum((each.errors for each in results), Counter[str]())
    seconds = sorted(second for each in results for second in each.seconds)
    print_table(
        f"{WRITERS} processes writing to one SQLite file",
        ["acts", "acts/s", "p50 ms", "p99 ms", "longest ms", "enrollments", "errors"],
        [
            [
                f"{len(seconds):,}",
                f"{len(seconds) / took:,.0f}",
                *(f"{second * 1000:.0f}" for second in (seconds[len(seconds) // 2], seconds[-len(seconds) // 100 - 1])),
                f"{seconds[-1] * 1000:.0f}",
                f"{StudentCourse.objects.count():,}",
                str(errors.total()),
            ]
        ],
    )
    found = [f"{count} times the database said: {message}." for message, count in errors.items()]
    return [*found, *lost_enrollments(set().union(*(each.enrollments for each in results))), *violations()]


def write(number: int, actions: int, students: Sequence[int], courses: Sequence[int]) -> WriterResult:
    """Run random actions in a separate process."""
    rng, origin, written = random.Random(number), ActorContext(Channel.COMMAND), WriterResult()
    try:
        start.wait(PATIENCE)
    except BrokenBarrierError:
        raise Failed("Not all writers have started.") from None
    for _ in range(actions):
        verb = rng.choice((enroll, enroll, enroll, drop, complete))
        options: dict[str, Any] = {"on_full": OnFull.WAITLIST} if verb is enroll else {}
        began = time.perf_counter()
        try:
            done = verb(student_id=rng.choice(students), course_id=rng.choice(courses), actor=origin, **options)
        except Refused:
            pass
        except OperationalError as error:
            written.errors[str(error)] += 1
        else:
            assert done.enrollment is not None  # an accepted action has an enrollment
            written.enrollments.add(done.enrollment.pk)
        written.seconds.append(time.perf_counter() - began)
    connections.close_all()
    return written
