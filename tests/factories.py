"""People and courses for tests. Every name, email and student number has a word that must never reach a log."""

from typing import Any

import factory
from factory.django import DjangoModelFactory

from courses.models import Course, Level, Term
from students.models import Student

CANARY = "Quetzalcoatl"


class TermFactory(DjangoModelFactory):
    class Meta:
        model = Term

    code = factory.Sequence(lambda n: f"T{n}")
    name = "A term"
    starts_on = "2026-01-01"
    ends_on = "2026-12-31"


class CourseFactory(DjangoModelFactory):
    """A course without a term, a capacity or a window: nothing stands in the way of enrolling."""

    class Meta:
        model = Course

    code = factory.Sequence(lambda n: f"COURSE-{n}")
    name = "A course"
    level = Level.INTRODUCTORY


class StudentFactory(DjangoModelFactory):
    class Meta:
        model = Student

    student_number = factory.Sequence(lambda n: f"{CANARY}-{n}")
    given_name = "Ada"
    family_name = CANARY
    email = factory.Sequence(lambda n: f"ada.{n}@{CANARY}.example".lower())


def make_term(**fields: Any) -> Term:
    return TermFactory(**fields)


def make_course(**fields: Any) -> Course:
    return CourseFactory(**fields)


def make_student(**fields: Any) -> Student:
    return StudentFactory(**fields)
