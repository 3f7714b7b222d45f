"""
Kill the server during a rush: its workers are ended by SIGKILL, and the server is restarted.

The change of every answered request must be in the database. The change of any other request must be there completely
or not at all.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench.table import print_table
from stress.clients import CLIENTS, Client
from stress.enrollment_rush import HEAD, PLACES, SEATS, SHORT_DIVISOR, STUDENTS, register_all, table_line
from stress.feed_reader import reading_changes
from stress.invariants import violations, wrong_counts
from stress.registration import Registration, create_course, create_students
from stress.server import Server, running_server

INTERVAL = 1.5  # seconds between two kills
MAX_KILLS = 6


def run(*, short: bool) -> list[str]:
    """Register all students in one course while the server is killed; return a sentence for each problem."""
    times = SHORT_DIVISOR if short else 1
    course = create_course("KILLED", seats=SEATS // times, places=PLACES // times)
    pairs = [(student, course.pk) for student in create_students(STUDENTS // times)]
    registration = Registration()
    with running_server() as server:
        token = server.token()
        with reading_changes(Client(server.port, token, seed=0)) as reader, killing(server) as killed:
            responses, seconds = register_all(registration, server, token, pairs)
        found = [*responses.errors, *registration.contradictions(), *reader.missed(), *violations()]
        found += wrong_counts(course, enrolled=SEATS // times, waiting=PLACES // times)
        if not killed:
            found.append("The rush was over before a server was killed.")
        if found and (tail := server.log_tail()):
            found.append(f"The end of the server's log: {tail}")
    title = f"Killed in the middle, {CLIENTS} clients"
    print_table(title, ["rush", *HEAD], [table_line("one hot course", responses, seconds, registration)])
    print(f"{len(killed)} servers with {sum(killed)} processes were killed; {responses.cut_off:,} connections broke.")
    print(f"{len(registration.enrollments):,} enrollments were answered, and exist.", flush=True)
    return found


@contextmanager
def killing(server: Server) -> Iterator[list[int]]:
    """Kill and restart the server repeatedly; yield the numbers of processes that were killed."""
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < MAX_KILLS and not over.wait(INTERVAL):
            killed.append(server.kill_workers())
            server.start()

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        try:
            yield killed
        finally:
            over.set()
            killing.result()
