"""
Enrollments during faults of nodes, network, pooler and servers: nothing that was acknowledged may be lost.

The whole is done with strict synchronous replication, and then one fault with asynchronous replication, which must
lose something: otherwise the checker would prove nothing.
"""

import os
import random
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psycopg

from bench.processes import Failed, manage
from bench.table import print_table
from stress.failover.checker import check_feed, check_histories, check_imports, check_seats, read_journal
from stress.failover.clients import CLIENTS, Client, acting, longest_gap
from stress.failover.cluster import URL, Cluster, running_cluster
from stress.failover.faults import FAULTS, LOSING, SHORT, Scene
from stress.failover.followers import ROWS, FeedReader, ImportSender, following
from stress.failover.history import History
from stress.failover.school import RenewedAccess, School, new_link, running_school, verify

STUDENTS = 30  # students of each client
COURSES, SEATS, PLACES = 60, (25, 40, 400), 10  # courses; their seats in turn; places on their waitlists
QUIET = (2.0, 4.0)  # seconds between the recovery from a fault and the next one
IMPORTS = 1200  # courses for imports, each for one
FAULTS_OF_RUN = 26
RATE = 75.0  # acts a second
SEED = 19


def run(*, short: bool, faults: int = 0, rate: float = RATE) -> list[str]:
    """Run ``faults`` faults, by default two of each kind; return a sentence for each problem."""
    kinds = list(SHORT if short else islice(_shuffled(), faults or FAULTS_OF_RUN))
    with running_cluster() as cluster:
        _prepare(cluster)
        with running_school(cluster.folder) as school:
            load = Load(cluster, "A", rate)
            found = load.run(school, kinds)
            load.print()
            if found:
                return [*found, f"Logs:\n{cluster.log_tail()}\n{school.log_tail()}"]
            return _lost_asynchronously(cluster, school, rate)


def _lost_asynchronously(cluster: Cluster, school: School, rate: float) -> list[str]:
    """Switch to asynchronous replication and inject a fault; return a sentence if the checker finds no loss."""
    cluster.set_synchronous(False)
    load = Load(cluster, "B", rate)
    found = load.run(school, [LOSING], is_synchronous=False)
    load.print()
    lost = [sentence for sentence in found if "lost" in sentence]
    print(f"With asynchronous replication, the checker finds {len(lost)} lost acts, as it must: {lost[:1]}", flush=True)
    return [] if lost else [*found, "With asynchronous replication, the checker finds no loss, so it proves nothing."]


class Load:
    """The clients with their students and courses, the reader of the feed and the sender of imports."""

    def __init__(self, cluster: Cluster, name: str, rate: float) -> None:
        self.cluster, self.rate = cluster, rate
        self.gaps: dict[str, list[float]] = {}
        self.seconds = 0.0
        self.access = RenewedAccess()
        with psycopg.connect(cluster.direct_url()) as direct:
            find = "SELECT id FROM {} WHERE {} LIKE %s ORDER BY id"
            students = _column(direct, find.format("students_student", "student_number"), f"{name}-S-%")
            courses = _column(direct, find.format("courses_course", "code"), f"{name}-C-%")
            imported = _column(
                direct, "SELECT student_number FROM students_student WHERE student_number LIKE %s", f"{name}-I-%"
            )
            codes = _column(direct, "SELECT code FROM courses_course WHERE code LIKE %s ORDER BY id", f"{name}-I-%")
            [self.first_entry] = _column(direct, "SELECT coalesce(max(id), 0) FROM students_enrollmentevent")
        self.clients = [
            Client(new_link(number, self.access), students[number::CLIENTS], courses, SEED + number)
            for number in range(CLIENTS)
        ]
        self.sender = ImportSender(new_link(1, self.access), imported, iter(codes))
        self.reader = FeedReader(new_link(0, self.access))
        if self.first_entry:
            self.reader.cursor = self._last_cursor()

    def run(self, school: School, kinds: list[str], *, is_synchronous: bool = True) -> list[str]:
        """Inject the faults one after the other while the clients act; return a sentence for each problem."""
        rng = random.Random(SEED)
        started = time.monotonic()
        found: list[str] = []
        with following(self.reader, self.sender), acting(self.clients, self.rate):
            time.sleep(5)
            for turn, kind in enumerate(kinds):
                time.sleep(rng.uniform(*QUIET))
                begin = time.monotonic()
                try:
                    self.access.renew()
                    FAULTS[kind].inject(Scene(self.cluster, school, self.sender, turn))
                    school.restart_ended()
                    self.cluster.wait_until_healthy(is_synchronous=is_synchronous)
                    self._wait_for_acts(time.monotonic())
                except Failed as error:
                    found.append(f"{kind}: {error}")
                    break
                gap = longest_gap(self.histories, begin, time.monotonic())
                self.gaps.setdefault(kind, []).append(gap)
                print(f"{turn + 1:4} {kind}: {gap:.1f} s without an acknowledged act, {self.done:,} acts", flush=True)
            time.sleep(3)
        self.seconds = time.monotonic() - started
        return [*found, *self._check()]

    @property
    def histories(self) -> list[History]:
        return [client.history for client in self.clients]

    @property
    def done(self) -> int:
        return sum(len(history.acknowledged_at) for history in self.histories)

    def print(self) -> None:
        """Print the longest gap of each kind of fault beside its goal, and the number of acts."""
        lines = []
        for kind, gaps in self.gaps.items():
            goal = FAULTS[kind].goal
            verdict = "reached" if max(gaps) <= goal else "missed"
            lines.append(
                [
                    kind,
                    str(len(gaps)),
                    f"{sorted(gaps)[len(gaps) // 2]:.1f}",
                    f"{max(gaps):.1f}",
                    f"{goal:.0f}",
                    verdict,
                ]
            )
        print_table("Seconds without an acknowledged act", ["fault", "times", "median", "longest", "goal", ""], lines)
        statuses: dict[int, int] = {}
        for history in self.histories:
            for status, count in history.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        imported = sum(job.state == "done" for job in self.sender.sent)
        faults = sum(map(len, self.gaps.values()))
        print(
            f"{faults} faults in {self.seconds:.0f} seconds; {self.done:,} acts acknowledged over HTTP, "
            f"{imported * ROWS:,} by {imported} imports; {len(self.reader.read):,} entries of the feed were read.\n"
            f"{self.cluster.copied_again} times a node had to be copied again. "
            f"Answers by status (0: none): {dict(sorted(statuses.items()))}",
            flush=True,
        )

    def _check(self) -> list[str]:
        url = self.cluster.direct_url()
        journal = read_journal(url, after=self.first_entry)
        return [
            *check_histories(journal, self.histories),
            *check_seats(journal),
            *self.reader.problems,
            *check_feed(journal, self.reader.read),
            *self.sender.unexpected,
            *check_imports(journal, self.sender.sent),
            *verify(url),
        ]

    def _wait_for_acts(self, since: float) -> None:
        """Wait until every client has been answered after a fault; fail if one is not."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if all(history.acknowledged_at and history.acknowledged_at[-1] > since for history in self.histories):
                return
            time.sleep(0.2)
        raise Failed("After the fault, School acknowledged nothing to some clients for a minute.")

    def _last_cursor(self) -> str:
        cursor, has_more = "", True
        while has_more:
            status, page, _request_id = self.reader.link.ask("GET", f"changes?after={cursor}&limit=500")
            if status != 200:
                raise Failed(f"The change feed was answered {status}.")
            cursor, has_more = page["cursor"], page["has_more"]
        return str(cursor)


def _prepare(cluster: Cluster) -> None:
    """Create the database, the students and the courses of both loads; then connect School through the pooler."""
    cluster.create_database()
    os.environ.update(DATABASE_URL=cluster.direct_url(), POOLER="")
    manage("migrate", "--verbosity", "0")
    students, courses = ["student_number,given_name,family_name"], ["course_code,name,level,capacity,waitlist_capacity"]
    for load in "AB":
        students += [f"{load}-S-{n},Ada,Byron" for n in range(STUDENTS * CLIENTS)]
        students += [f"{load}-I-{n},Ada,Byron" for n in range(ROWS)]
        courses += [f"{load}-C-{n},Course,introductory,{SEATS[n % len(SEATS)]},{PLACES}" for n in range(COURSES)]
        courses += [f"{load}-I-{n},Imported,introductory,," for n in range(IMPORTS)]
    for kind, lines in {"students": students, "courses": courses}.items():
        file = Path(cluster.folder / f"{kind}.csv")
        file.write_text("\n".join(lines) + "\n")
        manage(f"import_{kind}", str(file))
    os.environ.update(DATABASE_URL=URL, POOLER="transaction")


def _column(direct: "psycopg.Connection[Any]", statement: str, *values: str) -> list[Any]:
    return [each for (each,) in direct.execute(statement, values)]


def _shuffled() -> Iterator[str]:
    """Yield all kinds of faults again and again, each time in another order."""
    rng = random.Random(SEED)
    for kinds in cycle([list(FAULTS)]):
        yield from rng.sample(kinds, len(kinds))
