"""`manage.py import_enrollments` of a file of new enrollments, and of the same file again."""

import csv
import random
import tempfile
from itertools import islice
from pathlib import Path

from bench.processes import Failed, Finished, manage
from bench.table import print_table
from courses.models import Level, Term
from students.models import EnrollmentEvent, Student

SEATS = 500  # rows a course


def sizes_up_to(rows: int, *, linear: bool) -> list[int]:
    """Return the sizes of the files: just ``rows``, or smaller ones too, each a tenth of the next."""
    if not linear:
        return [rows]
    return [size for size in (rows // 100, rows // 10) if size >= min(10_000, rows // 10) > 0] + [rows]


def measure(sizes: list[int]) -> None:
    """Print the table; raise ``Failed`` for an import that ends in another way than it should."""
    with tempfile.TemporaryDirectory(prefix="school-bench-") as folder:
        start = manage("import_enrollments", str(_make_files(Path(folder), 1))).seconds
        lines = []
        for size in sizes:
            file = _make_files(Path(folder), size)
            for title, outcome, new in (("new", "enrolled", size), ("again", "unchanged", 0)):
                before = EnrollmentEvent.objects.count()
                done = manage("import_enrollments", str(file), "--again")
                events = EnrollmentEvent.objects.count() - before
                _check(done, {outcome: size, "events": new}, events)
                lines.append(
                    [
                        f"{size:,} rows, {title}",
                        outcome,
                        f"{done.seconds:.1f}",
                        f"{size / done.seconds:,.0f}",
                        f"{size / (done.seconds - start):,.0f}" if done.seconds > 1.5 * start else "-",
                        f"{done.peak_mb:.0f}",
                        f"{events:,}",
                    ]
                )
    print_table(
        "`manage.py import_enrollments FILE`, a process of its own, into courses with and without a capacity",
        ["file", "outcome", "seconds", "rows/s", "rows/s after start", "peak MB", "new events"],
        lines,
    )
    print(f"after start: less the {start:.1f} s that a file of one row takes. peak: VmHWM of the process.")


def _check(done: Finished, expected: dict[str, int], events: int) -> None:
    words = [line.split() for line in done.output.splitlines()[:-1]]
    told = {outcome: int(count) for count, outcome in words}
    if {**told, "events": events} != expected:
        raise Failed(f"An import should end with {expected}, but there are {told} and {events} events.")


def _make_files(folder: Path, size: int) -> Path:
    """Import fresh courses of the newest term, half of them without a capacity; write who shall enroll in them."""
    term = Term.objects.latest("starts_on").code
    numbers = list(Student.objects.order_by("pk").values_list("student_number", flat=True))
    # A student's rows lie in neighbouring courses, so there must be more courses than rows a student.
    codes = [f"BENCH-{size}-{position}" for position in range(1 + max(size // SEATS, size // len(numbers)))]
    courses = folder / f"courses-{size}.csv"
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
    file = folder / f"enrollments-{size}.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["student_number", "course_code", "term"])
        writer.writerows([number, code, term] for number, code in chosen)
    return file
