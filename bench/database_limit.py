"""
Write the rows of the file without School: by the fastest way of the database, and by a simple loop.

Neither checks rules, and neither writes a journal or outcomes.
"""

import csv
import sqlite3
import time
from itertools import islice
from pathlib import Path

from django.db import connection, transaction
from django.utils import timezone

from courses.models import Course
from students.models import Status, Student, StudentCourse

LOOPED = 2_000  # the number of rows that the loop writes, which is enough to measure its rate

STAGE = "CREATE UNLOGGED TABLE bench_staging (student_number text, course_code text, term text)"
LOAD = "COPY bench_staging FROM STDIN WITH (FORMAT csv, HEADER true)"
INSERT = """
    INSERT INTO students_studentcourse
        (student_id, course_id, status, enrolled_on, grade, version, created_at, updated_at)
    SELECT student.id, course.id, 'enrolled', current_date, '', 1, now(), now()
    FROM bench_staging
    JOIN students_student AS student USING (student_number)
    JOIN courses_term AS term ON term.code = bench_staging.term
    JOIN courses_course AS course ON course.code = course_code AND course.term_id = term.id
    ON CONFLICT DO NOTHING
"""
INSERT_ONE = """
    INSERT INTO students_studentcourse
        (student_id, course_id, status, enrolled_on, grade, version, created_at, updated_at)
    VALUES (?, ?, 'enrolled', ?, '', 1, ?, ?)
"""


def limit(file: Path) -> float:
    """Return the minimum seconds that the database takes for a file, including the commit."""
    started = time.perf_counter()
    if connection.vendor == "postgresql":
        _copy_and_insert(file)
    else:
        _execute_many(file)
    return time.perf_counter() - started


def _copy_and_insert(file: Path) -> None:
    """COPY into an unlogged staging table, then one INSERT … SELECT."""
    with connection.cursor() as cursor:
        with transaction.atomic():
            cursor.execute(STAGE)
            with file.open("rb") as source, cursor.copy(LOAD) as copy:
                while piece := source.read(1 << 20):
                    copy.write(piece)
            cursor.execute(INSERT)
        cursor.execute("DROP TABLE bench_staging")


def _execute_many(file: Path) -> None:
    """``executemany`` on SQLite's own connection, with the keys looked up in memory."""
    students = dict(Student.objects.values_list("student_number", "pk"))
    courses = {(code, term): pk for code, term, pk in Course.objects.values_list("code", "term__code", "pk")}
    now = timezone.now()
    with file.open(newline="") as source:
        rows = csv.reader(source)
        next(rows)
        values = (
            (students[number], courses[code, term], f"{now:%Y-%m-%d}", str(now), str(now))
            for number, code, term in rows
        )
        database: sqlite3.Connection = connection.connection
        database.execute("BEGIN IMMEDIATE")
        database.executemany(INSERT_ONE, values)
        database.execute("COMMIT")


def loop(file: Path) -> float:
    """Return the rows a second of a loop with ``get_or_create``, over the first rows, each in its own transaction."""
    with file.open(newline="") as source:
        rows = list(islice(csv.DictReader(source), LOOPED))
    started = time.perf_counter()
    for row in rows:
        StudentCourse.objects.get_or_create(
            student=Student.objects.get(student_number=row["student_number"]),
            course=Course.objects.get(code=row["course_code"], term__code=row["term"]),
            defaults={"status": Status.ENROLLED, "enrolled_on": timezone.localdate()},
        )
    return len(rows) / (time.perf_counter() - started)
