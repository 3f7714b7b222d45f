"""
Students and courses for tests.

Every name, email and student number contains a word that no log may contain.
"""

from typing import Any

from factory.declarations import Sequence
from factory.django import DjangoModelFactory

from courses.models import Course, Grade, Level, Term
from students.enrollment.actor_context import ActorContext
from students.holds import RequestedHold, place_holds
from students.models import Channel, Hold, Student

CANARY = "Quetzalcoatl"


class TermFactory(DjangoModelFactory):
    class Meta:
        model = Term

    code = Sequence(lambda n: f"T{n}")
    name = "A term"
    starts_on = "2026-01-01"
    ends_on = "2099-12-31"  # a term that has ended takes no students


class CourseFactory(DjangoModelFactory):
    """A course without a term, a capacity or an enrollment window: no rule refuses an enrollment."""

    class Meta:
        model = Course

    code = Sequence(lambda n: f"COURSE-{n}")
    name = "A course"
    level = Level.INTRODUCTORY


class GradeFactory(DjangoModelFactory):
    class Meta:
        model = Grade

    code = Sequence(lambda n: f"G{n}")


class StudentFactory(DjangoModelFactory):
    class Meta:
        model = Student

    student_number = Sequence(lambda n: f"{CANARY}-{n}")
    given_name = "Ada"
    family_name = CANARY
    email = Sequence(lambda n: f"ada.{n}@{CANARY}.example".lower())


def make_term(**fields: Any) -> Term:
    made: Term = TermFactory.create(**fields)
    return made


def make_course(**fields: Any) -> Course:
    made: Course = CourseFactory.create(**fields)
    return made


def make_grade(**fields: Any) -> Grade:
    made: Grade = GradeFactory.create(**fields)
    return made


def make_grades(passing: str = "ABCD", failing: str = "F") -> None:
    """Make a table of grades, the best first; each passing grade has a rank, the failing ones have none."""
    for rank, code in enumerate(reversed(passing), start=1):
        make_grade(code=code, rank=rank)
    for code in failing:
        make_grade(code=code, passes=False)


def make_student(**fields: Any) -> Student:
    made: Student = StudentFactory.create(**fields)
    return made


def make_hold(student: Student, code: str = "LIBRARY", **values: Any) -> Hold:
    """Place a hold on a student."""
    requested = RequestedHold(student.pk, code, **values)
    [placement] = place_holds([requested], actor=ActorContext(Channel.SYSTEM))
    assert placement.hold is not None, placement.refusals
    return placement.hold
