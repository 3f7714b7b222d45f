"""
Finds a student, also a deleted one, by student number, with all numbers, names and emails that the student ever had.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from bulk.personal_data.identifiers import Identifiers
from school.refusals import Refusal, Refused
from students.lookup import student_not_found
from students.models import Student

StudentHistory: Any = Student.history.model


@dataclass(frozen=True)
class Person:
    """
    A person with all present and past identifiers.

    ``student`` is None if the student was deleted, but the history remains.
    """

    pk: int
    student: Student | None
    identifiers: Identifiers

    @property
    def is_erased(self) -> bool:
        return self.student is not None and self.student.erased_at is not None

    @property
    def pseudonym(self) -> str:
        """
        The student number after the erasure.

        It contains only the id of the student, which enrollments refer to, and no personal data.
        """
        return f"erased-{self.pk}"


def find_person(number: str) -> Person:
    """Return the person with a student number, or the deleted person who had it last; raise ``Refused`` if none."""
    student = Student.objects.filter(student_number=number).first()
    if student is not None:
        return person_of(student)
    deleted = StudentHistory.objects.filter(student_number=number).exclude(id__in=Student.objects.values("pk"))
    pk = deleted.order_by("-history_id").values_list("id", flat=True).first()
    if pk is None:
        raise Refused([student_not_found(number)])
    return _person(pk, None)


def person_of(student: Student) -> Person:
    return _person(student.pk, student)


def _person(pk: int, student: Student | None) -> Person:
    """Build a person from all present and past numbers and emails, except those that another student has now."""
    fields = ("student_number", "email", "given_name", "family_name")
    versions = list(StudentHistory.objects.filter(id=pk).values_list(*fields))
    if student is not None:
        versions.append(tuple(getattr(student, name) for name in fields))
    numbers, emails = {row[0] for row in versions}, {row[1].lower() for row in versions if row[1]}
    others = Student.objects.exclude(pk=pk)
    same_number = [Q(student_number__iexact=number) for number in numbers]
    reassigned = (
        set(others.filter(reduce(or_, same_number)).values_list("student_number", flat=True)) if same_number else set()
    )
    emails -= set(others.annotate(spelled=Lower("email")).filter(spelled__in=emails).values_list("spelled", flat=True))
    names = {name for row in versions for name in row[2:]}
    return Person(pk, student, Identifiers(numbers - reassigned, emails, names, reassigned))


def refuse_reason_with_identifier(person: Person, reason: str) -> None:
    """Raise ``Refused`` if a reason names the person, since the record of access keeps it permanently."""
    if word := person.identifiers.find_mention(reason):
        message = _(
            "The reason contains “%(word)s”, which identifies the student. Remove it, because the reason is "
            "stored permanently."
        )
        raise Refused([Refusal("reason_names_student", message % {"word": word}, field="reason")])
