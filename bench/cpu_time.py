"""
Measure the CPU time of all forms of requests, on PostgreSQL and on SQLite.

Each form is sent in one process through the WSGI application. Only the CPU time of that process is measured, not that
of other programs or the network. All forms are measured in several rounds, and a ratio is the median over the rounds.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from bench.processes import Failed
from bench.table import print_table

DATABASES: dict[str, list[str]] = {"PostgreSQL": [], "SQLite": ["--sqlite"]}
ROUNDS, MORE_ROUNDS = 5, 10  # the number of additional rounds for a form that seems slow, and for its plain form
SECONDS_PER_ROUND = 0.02  # CPU seconds for each form
MAX_SQLITE_RATIO = 1.3  # the maximum ratio of a read on SQLite to the same read on PostgreSQL


@dataclass(slots=True)
class Cost:
    """The CPU seconds of a request in each round, the ratio to its plain form, and the number of queries."""

    title: str
    is_read: bool
    max_ratio: float | None
    ratio: float | None = None
    queries: int = 0
    rounds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(self.rounds)

    @property
    def is_slow(self) -> bool:
        return self.max_ratio is not None and self.ratio is not None and self.ratio > self.max_ratio


def compare() -> int:
    """Measure on both databases, each in a separate process, and print the table; return 1 if a form is slow."""
    found = {name: _measure_in_process(options) for name, options in DATABASES.items()}
    slow, lines = [], []
    for of_postgresql, of_sqlite in zip(*found.values(), strict=True):
        sqlite_ratio = of_sqlite.seconds / of_postgresql.seconds
        lines.append([of_postgresql.title, *_cells(of_postgresql), *_cells(of_sqlite), f"{sqlite_ratio:.2f}"])
        for name, cost in zip(found, (of_postgresql, of_sqlite), strict=True):
            if cost.is_slow:
                slow.append(f"{cost.title} on {name} ({cost.ratio:.2f} of its plain form)")
        if of_postgresql.is_read and sqlite_ratio > MAX_SQLITE_RATIO:
            slow.append(f"{of_postgresql.title} on SQLite ({sqlite_ratio:.2f} of PostgreSQL)")
    head = [part for name in found for part in (f"{name} CPU µs", "of its plain form", "queries")]
    title = f"Each form of each request, medians of {ROUNDS} rounds"
    print_table(title, ["form", *head, "SQLite/PostgreSQL"], lines)
    print(
        "CPU: of the process for a request; SQLite runs in it, PostgreSQL does not. Queries: without BEGIN and COMMIT."
    )
    for each in slow:
        print(f"SLOW: {each}")
    return int(bool(slow))


def _cells(cost: Cost) -> list[str]:
    return [f"{cost.seconds * 1e6:,.0f}", "-" if cost.ratio is None else f"{cost.ratio:.2f}", str(cost.queries)]


def _measure_in_process(options: list[str]) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="school-bench-") as folder:
        file, log = Path(folder) / "costs.json", Path(folder) / "log"
        command = [sys.executable, "-m", "bench.run", *sys.argv[1:], *options, "--forms", str(file)]
        with log.open("w") as errors:
            done = subprocess.run(command, stderr=errors, check=False)
        if done.returncode or not file.exists():
            raise Failed("\n".join(log.read_text().splitlines()[-10:]))
        return [Cost(**each) for each in json.loads(file.read_text())]


def measure(file: Path) -> None:
    """Measure on the database of this process, and write the costs to a file; raise ``Failed`` for wrong responses."""
    # Imported here, because it needs models, and Django is set up only now.
    from bench.in_process import InProcessClient

    client = InProcessClient()
    costs = {form.title: Cost(form.title, form.method == "GET", form.max_ratio) for form in client.forms}
    for form in client.forms:
        costs[form.title].queries = client.queries(form)
    for _round in range(ROUNDS):
        for form in client.forms:
            costs[form.title].rounds.append(client.seconds(form, SECONDS_PER_ROUND))
    for form in client.forms:
        if form.plain:
            _set_ratio(costs[form.title], costs[form.plain].rounds)
    for form in client.forms:
        cost = costs[form.title]
        # Measured again, alternating with the plain form, because other programs may have disturbed the measurement.
        if cost.is_slow:
            plain = client.by_title[form.plain]
            pairs = [
                (client.seconds(plain, SECONDS_PER_ROUND), client.seconds(form, SECONDS_PER_ROUND))
                for _round in range(MORE_ROUNDS)
            ]
            cost.rounds = [spent for _plain, spent in pairs]
            _set_ratio(cost, [spent for spent, _form in pairs])
    file.write_text(json.dumps([asdict(cost) for cost in costs.values()]))


def _set_ratio(cost: Cost, plain: list[float]) -> None:
    cost.ratio = median(own / other for own, other in zip(cost.rounds, plain, strict=True))
