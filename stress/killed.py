"""
Killed in the middle: during a rush the server's workers are ended by SIGKILL, and the server is started anew.

Whatever was answered is in the database, and what was not answered is there whole or not at all.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench.table import print_table
from stress.clients import CLIENTS, Client
from stress.invariants import misfilled, violations
from stress.reader import somebody_reading
from stress.registration import Registration, make_course, make_students
from stress.rush import HEAD, PLACES, SEATS, SHORTER, STUDENTS, everybody_registers, line
from stress.server import Server, running_server

EVERY = 1.5  # seconds that a server lives
MOST = 6  # times that it is killed


def run(*, short: bool) -> list[str]:
    """Let everybody rush at one course of a server that is killed; return a sentence for everything that went wrong."""
    times = SHORTER if short else 1
    course = make_course("KILLED", seats=SEATS // times, places=PLACES // times)
    pairs = [(student, course.pk) for student in make_students(STUDENTS // times)]
    registration = Registration()
    with running_server() as server:
        token = server.token()
        with somebody_reading(Client(server.port, token, seed=0)) as reader, killing(server) as killed:
            heard, seconds = everybody_registers(registration, server, token, pairs)
        found = [*heard.errors, *registration.untrue(), *reader.missed(), *violations()]
        found += misfilled(course, enrolled=SEATS // times, waiting=PLACES // times)
        if not killed:
            found.append("The rush was over before a server was killed.")
        if found and (words := server.last_words()):
            found.append(f"The server's last words: {words}")
    title = f"Killed in the middle, {CLIENTS} clients"
    print_table(title, ["rush", *HEAD], [line("one hot course", heard, seconds, registration)])
    print(
        f"{len(killed)} servers were killed with {sum(killed)} processes; clients were cut off {heard.cut_off:,} times."
    )
    print(f"{len(registration.enrollments):,} enrollments were answered, and are there.", flush=True)
    return found


@contextmanager
def killing(server: Server) -> Iterator[list[int]]:
    """Kill the server and start it anew, again and again; yield how many processes were killed each time."""
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < MOST and not over.wait(EVERY):
            killed.append(server.kill_workers())
            server.start()

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        try:
            yield killed
        finally:
            over.set()
            killing.result()
