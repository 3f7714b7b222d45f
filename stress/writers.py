"""
Sixteen processes that write to one SQLite file at once: none of them is ever told that the database is locked.

They wait for each other as long as a command does. Waiting for SQLite is no queue: who comes again at once, as they
do, is more likely to be next than who has waited long, so the longest wait is many times the usual one.
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
from stress.invariants import missing, violations
from stress.registration import make_course, make_students
from students.enrollment import complete, drop, enroll
from students.enrollment.commands import ActorContext, OnFull
from students.models import Channel, StudentCourse

WRITERS = 16
ACTS = 300  # of each
SHORTER = 10  # times
COURSES, SEATS, PLACES, STUDENTS = 4, 20, 10, 200
PATIENCE = 60  # seconds

# All writers begin at the same instant.
start = multiprocessing.get_context("fork").Barrier(WRITERS)


@dataclass
class Written:
    """What a writer was told: ids of enrollments, errors of the database, and how long each act took."""

    enrollments: set[int] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def run(*, short: bool) -> list[str]:
    """Let all write; return a sentence for everything that went wrong."""
    acts = ACTS // SHORTER if short else ACTS
    students = make_students(STUDENTS)
    courses = [make_course(f"C-{number}", seats=SEATS, places=PLACES).pk for number in range(COURSES)]
    connections.close_all()  # a connection to SQLite must not be carried into the processes that are forked now
    with ProcessPoolExecutor(WRITERS, multiprocessing.get_context("fork")) as pool:
        began = time.perf_counter()
        written = [pool.submit(write, number, acts, students, courses) for number in range(WRITERS)]
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
    return [*found, *missing(set().union(*(each.enrollments for each in results))), *violations()]


def write(number: int, acts: int, students: Sequence[int], courses: Sequence[int]) -> Written:
    """Act at random, in a process of its own."""
    dice, origin, written = random.Random(number), ActorContext(Channel.COMMAND), Written()
    try:
        start.wait(PATIENCE)
    except BrokenBarrierError:
        raise Failed("Not all writers have come.") from None
    for _ in range(acts):
        verb = dice.choice((enroll, enroll, enroll, drop, complete))
        wish: dict[str, Any] = {"on_full": OnFull.WAITLIST} if verb is enroll else {}
        began = time.perf_counter()
        try:
            done = verb(student_id=dice.choice(students), course_id=dice.choice(courses), actor=origin, **wish)
        except Refused:
            pass
        except OperationalError as error:
            written.errors[str(error)] += 1
        else:
            assert done.enrollment is not None  # an accepted act has one
            written.enrollments.add(done.enrollment.pk)
        written.seconds.append(time.perf_counter() - began)
    connections.close_all()
    return written
