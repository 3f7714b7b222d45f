"""
Measure `manage.py import_enrollments` with a file of new enrollments, then with the same file, beside the limit of the
database.
"""

import csv
import random
import tempfile
from itertools import islice
from pathlib import Path

from bench.database_limit import limit, loop
from bench.processes import Failed, Finished, manage
from bench.table import print_table
from courses.models import Level, Term
from students.models import EnrollmentEvent, Student

SEATS = 500  # the number of rows for each course
# The prefixes of course codes, so that each measurement begins with empty courses.
SCHOOL, LIMIT, LOOP = "BENCH", "LIMIT", "LOOP"


def sizes_up_to(rows: int, *, linear: bool) -> list[int]:
    """Return the sizes of the files: ``rows`` and, if ``linear``, smaller ones, each a tenth of the next."""
    if not linear:
        return [rows]
    return [size for size in (rows // 100, rows // 10) if size >= min(10_000, rows // 10) > 0] + [rows]


def measure(sizes: list[int]) -> None:
    """Print the table; raise ``Failed`` for an import with an unexpected result."""
    with tempfile.TemporaryDirectory(prefix="school-bench-") as folder:
        start = manage("import_enrollments", str(_make_file(Path(folder), 1, SCHOOL))).seconds
        lines = [line for size in sizes for line in _measure_one(Path(folder), size)]
        rate = loop(_make_file(Path(folder), sizes[0], LOOP))
    print_table(
        "`manage.py import_enrollments FILE`, a process of its own, into courses with and without a capacity",
        ["file", "outcome", "seconds", "rows/s", "of the limit", "peak MB", "new events"],
        lines,
    )
    print(
        "limit: the same rows without rules, journal and outcomes, by one COPY and one INSERT … SELECT on PostgreSQL,"
    )
    print("by executemany on SQLite; measured before and after School's import, the mean of both.")
    print(
        f"{start:.1f} of School's seconds are the start of the process, measured with a file of one row. peak: VmHWM."
    )
    print(f"A loop with get_or_create, a transaction each: {rate:,.0f} rows/s.")


def _measure_one(folder: Path, size: int) -> list[list[str]]:
    file = _make_file(folder, size, SCHOOL)
    before = limit(_make_file(folder, size, LIMIT))
    new = _import(file, size, "enrolled", events=size)
    after = limit(_make_file(folder, size, f"{LIMIT}2"))
    again = _import(file, size, "unchanged", "--again", events=0)
    best = (before + after) / 2
    lines = [[f"{size:,} rows, the limit", "-", f"{best:.1f}", f"{size / best:,.0f}", "1.00", "-", "-"]]
    for title, outcome, done, events in (("new", "enrolled", new, size), ("again", "unchanged", again, 0)):
        figures = [f"{done.seconds:.1f}", f"{size / done.seconds:,.0f}", f"{best / done.seconds:.2f}"]
        lines.append([f"{size:,} rows, {title}", outcome, *figures, f"{done.peak_mb:.0f}", f"{events:,}"])
    return lines


def _import(file: Path, size: int, outcome: str, *options: str, events: int) -> Finished:
    before = EnrollmentEvent.objects.count()
    done = manage("import_enrollments", str(file), *options)
    written = EnrollmentEvent.objects.count() - before
    fields = [line.split() for line in done.output.splitlines()[:-1]]
    counts = {name: int(count) for count, name in fields}
    if {**counts, "events": written} != {outcome: size, "events": events}:
        raise Failed(f"{size} rows should be {outcome}, with {events} events: {counts} and {written} events.")
    return done


def _make_file(folder: Path, size: int, prefix: str) -> Path:
    """Import new courses of the latest term, half of them without a capacity; write a file of enrollments in them."""
    term = Term.objects.latest("starts_on").code
    numbers = list(Student.objects.order_by("pk").values_list("student_number", flat=True))
    # The rows of a student are in consecutive courses, so there must be more courses than rows for a student.
    codes = [f"{prefix}-{size}-{position}" for position in range(1 + max(size // SEATS, size // len(numbers)))]
    courses = folder / f"courses-{prefix}-{size}.csv"
    with courses.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["course_code", "term", "name", "level", "capacity"])
        for position, code in enumerate(codes):
            capacity = "" if position % 2 else len(numbers)
            writer.writerow([code, term, f"Course {code}", Level.INTRODUCTORY.value, capacity])
    manage("import_courses", str(courses))

    rounds = range(size // len(numbers) + 1)
    pairs = ((number, codes[(place + r) % len(codes)]) for r in rounds for place, number in enumerate(numbers))
    chosen = list(islice(pairs, size))
    random.Random(size).shuffle(chosen)
    file = folder / f"enrollments-{prefix}-{size}.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["student_number", "course_code", "term"])
        writer.writerows([number, code, term] for number, code in chosen)
    return file
