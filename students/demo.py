"""Plausible demo data of any size, created by the same service as real enrollments, term by term."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby, islice

from django.db import connection
from django.utils import timezone
from mimesis import Locale, Person
from simple_history.utils import bulk_create_with_history

from courses.models import Course, Grade, Level, Term
from school.db.compiled_queries import ON_POSTGRESQL
from students.enrollment import execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse

CHUNK = 10_000
TERMS = 4
# Days relative to the first day of a term: the opening and the end of registration, the drop deadline, the withdrawals.
OPENING, BEGINNING, DEADLINE, LATE = (timedelta(days=days) for days in (-20, 10, 45, 90))
GRADING = timedelta(days=-21)  # relative to the last day: before registration for the next term opens
GRADES = ("A", "A-", "B+", "B", "B-", "C+", "C", "D")
SUBJECTS = {
    "ART": "Art History",
    "BIO": "Biology",
    "CHEM": "Chemistry",
    "CS": "Computer Science",
    "ECON": "Economics",
    "EDUC": "Education",
    "ENG": "English Literature",
    "ENV": "Environmental Science",
    "FR": "French",
    "GEO": "Geology",
    "GER": "German",
    "HIST": "History",
    "LAW": "Law",
    "LING": "Linguistics",
    "MATH": "Mathematics",
    "MED": "Medicine",
    "MUS": "Music",
    "NURS": "Nursing",
    "PHIL": "Philosophy",
    "PHYS": "Physics",
    "POL": "Politics",
    "PSY": "Psychology",
    "SOC": "Sociology",
    "SPAN": "Spanish",
    "STAT": "Statistics",
}
TITLES = {
    Level.INTRODUCTORY: "Introduction to {}",
    Level.INTERMEDIATE: "Methods of {}",
    Level.ADVANCED: "Topics in {}",
    Level.GRADUATE: "Seminar in {}",
}


@dataclass(frozen=True)
class Size:
    students: int
    courses: int
    enrollments: int


def make_demo(
    size: Size, *, now: datetime, log: Callable[[str], None], advance: Callable[[int], object] = lambda rows: None
) -> None:
    """
    Fill an empty database with terms up to that of ``now``, their courses, students and enrollments.

    In past terms all enrollments have ended: completed with grades, dropped or withdrawn. Some courses of each term are
    full, and some of the last term have a waitlist. The journal is in the order of time. The same size on the same day
    gives the same data. ``log`` is called with progress messages, ``advance`` with the number of students and
    enrollments added since its last call. Raise ``ValueError`` for a size that is not possible.
    """
    rng = random.Random(size.students)
    _make_grades()
    terms = _make_terms(timezone.localdate(now))
    per_term = [_share(size.courses, TERMS, position) for position in range(TERMS)]
    if min(per_term) == 0 or size.students == 0:
        raise ValueError(f"It takes at least {TERMS} courses and a student.")
    if size.enrollments > size.students * size.courses:
        raise ValueError("There are not so many pairs of a student and a course.")
    students = _make_students(size.students, rng)
    advance(size.students)
    log(f"{size.students} students")
    for position, term in enumerate(terms):
        total = _share(size.enrollments, TERMS, position)
        pairs = _choose_pairs(students, per_term[position], total, rng)
        last = term is terms[-1]
        courses = _make_courses(term, per_term[position], pairs, rng, last=last)
        _enroll_and_end(term, [(s, courses[c]) for s, c in pairs], now=now, rng=rng, last=last, advance=advance)
        log(f"{term.code}: {len(courses)} courses, {total} enrollments")


def _share(total: int, parts: int, position: int) -> int:
    return total // parts + (position < total % parts)


def _make_grades() -> None:
    """Create the table of grades, the best first: the demo data has those that pass."""
    for rank, code in zip(range(len(GRADES), 0, -1), GRADES, strict=True):
        Grade.objects.create(code=code, rank=rank)
    Grade.objects.create(code="F", passes=False)


def _make_terms(today: date) -> list[Term]:
    """Create terms of half a year, up to the current term. Each term is saved separately, so that it has a history."""
    half = today.year * 2 + (today.month > 6)
    terms = []
    for number in range(half - TERMS + 1, half + 1):
        year, is_fall = divmod(number, 2)
        starts_on = date(year, 7 if is_fall else 1, 1)
        terms.append(
            Term.objects.create(
                code=f"{year}{'F' if is_fall else 'S'}",
                name=f"{'Fall' if is_fall else 'Spring'} {year}",
                starts_on=starts_on,
                ends_on=date(year, 12, 31) if is_fall else date(year, 6, 30),
                drop_deadline=starts_on + DEADLINE,
            )
        )
    return terms


def _make_students(count: int, rng: random.Random) -> list[int]:
    person = Person(Locale.EN, seed=count)
    students = []
    for position in range(1, count + 1):
        given_name, family_name = person.first_name(), person.last_name()
        students.append(
            Student(
                student_number=f"S-{1000 + position}",
                given_name=given_name,
                family_name=family_name,
                email=f"{given_name}.{family_name}.{position}@example.edu".lower().replace(" ", "").replace("'", ""),
                is_active=True,
            )
        )
    return [
        student.pk
        for start in range(0, count, CHUNK)
        for student in bulk_create_with_history(students[start : start + CHUNK], Student)
    ]


def _choose_pairs(students: list[int], courses: int, total: int, rng: random.Random) -> list[tuple[int, int]]:
    """Choose distinct pairs of a student's id and a course's position, grouped by student."""
    each, more = divmod(total, len(students))
    if each + bool(more) > courses:
        raise ValueError("There are too few courses for so many enrollments.")
    pairs = []
    for position, student in enumerate(students):
        pairs += [(student, course) for course in rng.sample(range(courses), each + (position < more))]
    return pairs


def _make_courses(term: Term, count: int, pairs: list[tuple[int, int]], rng: random.Random, *, last: bool) -> list[int]:
    """
    Create a term's courses with seats for the students that will enroll; return their ids.

    On average one in six has no spare seat. In the last term, every sixth course has too few seats, and a waitlist.
    """
    expected_enrollments = Counter(course for _student, course in pairs)
    prefixes = list(SUBJECTS)
    courses = []
    for position in range(count):
        prefix = prefixes[position % len(prefixes)]
        round_ = position // len(prefixes)
        level = list(Level)[round_ % len(Level)]
        number = 100 * (round_ % len(Level) + 1) + 1 + round_ // len(Level)
        spare = rng.choice([0, 2, 5, 10, 20, None])
        has_waitlist = last and position % 6 == 0
        if has_waitlist:
            spare = -(expected_enrollments[position] * 15 // 100)
        courses.append(
            Course(
                code=f"{prefix}-{number}",
                name=TITLES[level].format(SUBJECTS[prefix]) + (f" {number % 100}" if number % 100 > 1 else ""),
                level=level,
                term=term,
                capacity=None if spare is None else expected_enrollments[position] + spare,
                waitlist_capacity=None if has_waitlist else 0,
                enrollment_opens_at=_morning(term.starts_on - timedelta(days=60)),
                enrollment_closes_at=_morning(term.ends_on),
            )
        )
    return [course.pk for course in bulk_create_with_history(courses, Course, batch_size=500)]


def _enroll_and_end(
    term: Term,
    pairs: list[tuple[int, int]],
    *,
    now: datetime,
    rng: random.Random,
    last: bool,
    advance: Callable[[int], object],
) -> None:
    """
    Enroll students around the start of the term; then some drop, some withdraw and, in past terms, the others complete.

    In the last term students enroll and leave on many different days. In each past term they do so on one day, because
    each day is a batch and takes time.
    """
    context = DecisionContext(partial_rows=True)

    def execute_all(commands: Iterable[EnrollmentCommand], day: date) -> None:
        actor = ActorContext(Channel.COMMAND, at=min(_morning(day), now))
        commands = iter(commands)
        while chunk := list(islice(commands, CHUNK)):
            refused = [outcome for outcome in execute(chunk, actor, context) if outcome.refusals]
            if refused:
                raise ValueError(f"The demo is refused: {refused[0].refusals}")
            advance(sum(command.action == Action.ENROLL for command in chunk))

    def execute_by_day(
        commands: Iterable[EnrollmentCommand], days: list[date], weights: list[float] | None = None
    ) -> None:
        """Execute all commands of each student on one random day, unless that day is in the future."""
        by_day: dict[date, list[EnrollmentCommand]] = {day: [] for day in days}
        for _student, of_student in groupby(commands, key=lambda command: command.student_id):
            [day] = rng.choices(days, weights)
            by_day[day] += of_student
        for day in days:
            if day <= today:
                execute_all(by_day[day], day)

    today = timezone.localdate(now)
    opening, beginning, deadline, late = (term.starts_on + each for each in (OPENING, BEGINNING, DEADLINE, LATE))
    enrolling = (EnrollmentCommand(Action.ENROLL, *pair, on_full=OnFull.WAITLIST) for pair in pairs)
    planned_outcomes = rng.choices(["drop", "withdraw", "stay"], weights=[6, 3, 91], k=len(pairs))
    dropping = (
        EnrollmentCommand(Action.DROP, *pair)
        for pair, planned in zip(pairs, planned_outcomes, strict=True)
        if planned == "drop"
    )
    withdrawing = (
        EnrollmentCommand(Action.DROP, *pair)
        for pair, planned in zip(pairs, planned_outcomes, strict=True)
        if planned == "withdraw"
    )
    if last:
        days = _days(opening, min(beginning, today))
        execute_by_day(enrolling, days, [_arrival_weight(day, term) for day in days])
        _analyze()
        execute_by_day(dropping, _days(beginning, deadline))
        execute_by_day(withdrawing, _days(deadline, term.ends_on)[3::7])
        return
    execute_all(enrolling, opening)
    execute_all(dropping, beginning)
    execute_all(withdrawing, late)
    completing = (pair for pair, planned in zip(pairs, planned_outcomes, strict=True) if planned == "stay")
    execute_all(
        (EnrollmentCommand(Action.COMPLETE, *pair, grade=rng.choice(GRADES)) for pair in completing),
        term.ends_on + GRADING,
    )


def _analyze() -> None:
    """
    Update PostgreSQL's table statistics.

    Autovacuum would do it too late, and PostgreSQL would scan whole tables to find a few rows.
    """
    if ON_POSTGRESQL:
        with connection.cursor() as cursor:
            for model in (Student, Course, StudentCourse, EnrollmentEvent):
                cursor.execute(f'ANALYZE "{model._meta.db_table}"')


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _arrival_weight(day: date, term: Term) -> float:
    """
    Return the weight of a day for enrollments.

    It is highest when registration opens, high around the first day of the term, and low on weekends.
    """
    days = day - term.starts_on
    many = 1 + 8 * 0.7 ** (days - OPENING).days + (2 if abs(days.days) <= 3 else 0)
    return many * (0.2 if day.weekday() >= 5 else 1)


def _morning(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time(8)))
