"""
The processor time of every form of every request, on PostgreSQL and on SQLite side by side.

Each is asked in a process through the WSGI application, by the processor time of that process: no other program and no
network is measured. Rounds of all forms follow each other, and a ratio is the median of those of the rounds.
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
ROUNDS, MORE_ROUNDS = 5, 10  # more for a form that seems slow, and for its plain form
ENOUGH = 0.02  # seconds of processor that a form is asked for in each round
MOST_ON_SQLITE = 1.3  # of the processor time on PostgreSQL, for a read


@dataclass(slots=True)
class Cost:
    """Seconds of processor a request in each round, how much of the plain form's that is, and the queries."""

    title: str
    is_read: bool
    most: float | None
    ratio: float | None = None
    queries: int = 0
    rounds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(self.rounds)

    @property
    def is_slow(self) -> bool:
        return self.most is not None and self.ratio is not None and self.ratio > self.most


def compare() -> int:
    """Measure on both databases, each in a process of its own, and print the table; return 1 where a form is slow."""
    found = {name: _measured_apart(options) for name, options in DATABASES.items()}
    slow, lines = [], []
    for of_postgresql, of_sqlite in zip(*found.values(), strict=True):
        beside = of_sqlite.seconds / of_postgresql.seconds
        lines.append([of_postgresql.title, *_cells(of_postgresql), *_cells(of_sqlite), f"{beside:.2f}"])
        for name, cost in zip(found, (of_postgresql, of_sqlite), strict=True):
            if cost.is_slow:
                slow.append(f"{cost.title} on {name} ({cost.ratio:.2f} of its plain form)")
        if of_postgresql.is_read and beside > MOST_ON_SQLITE:
            slow.append(f"{of_postgresql.title} on SQLite ({beside:.2f} of PostgreSQL)")
    head = [part for name in found for part in (f"{name} CPU µs", "of its plain form", "queries")]
    title = f"Each form of each request, medians of {ROUNDS} rounds"
    print_table(title, ["form", *head, "SQLite/PostgreSQL"], lines)
    print(
        "CPU: of the process, a request; SQLite works in it, PostgreSQL beside it. Queries: without BEGIN and COMMIT."
    )
    for each in slow:
        print(f"SLOW: {each}")
    return int(bool(slow))


def _cells(cost: Cost) -> list[str]:
    return [f"{cost.seconds * 1e6:,.0f}", "-" if cost.ratio is None else f"{cost.ratio:.2f}", str(cost.queries)]


def _measured_apart(options: list[str]) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="school-bench-") as folder:
        file, log = Path(folder) / "costs.json", Path(folder) / "log"
        command = [sys.executable, "-m", "bench.run", *sys.argv[1:], *options, "--forms", str(file)]
        with log.open("w") as errors:
            done = subprocess.run(command, stderr=errors, check=False)
        if done.returncode or not file.exists():
            raise Failed("\n".join(log.read_text().splitlines()[-10:]))
        return [Cost(**each) for each in json.loads(file.read_text())]


def measure(file: Path) -> None:
    """Measure on the database of this process, and write the costs into a file; raise ``Failed`` for wrong answers."""
    from bench.asking import Asking  # it needs models, and so Django set up on the database that there is only now

    asking = Asking()
    costs = {form.title: Cost(form.title, form.method == "GET", form.most) for form in asking.forms}
    for form in asking.forms:
        costs[form.title].queries = asking.queries(form)
    for _round in range(ROUNDS):
        for form in asking.forms:
            costs[form.title].rounds.append(asking.seconds(form, ENOUGH))
    for form in asking.forms:
        if form.plain:
            _note_ratio(costs[form.title], costs[form.plain].rounds)
    for form in asking.forms:
        cost = costs[form.title]
        if cost.is_slow:  # side by side with its plain form, for another program may have been at work
            plain = asking.by_title[form.plain]
            pairs = [(asking.seconds(plain, ENOUGH), asking.seconds(form, ENOUGH)) for _round in range(MORE_ROUNDS)]
            cost.rounds = [spent for _plain, spent in pairs]
            _note_ratio(cost, [spent for spent, _form in pairs])
    file.write_text(json.dumps([asdict(cost) for cost in costs.values()]))


def _note_ratio(cost: Cost, plain: list[float]) -> None:
    cost.ratio = median(own / other for own, other in zip(cost.rounds, plain, strict=True))
