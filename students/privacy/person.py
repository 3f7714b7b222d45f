"""Finding a person by number, a deleted one by what the history kept, and what else the person is known by."""

from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Lower

from bulk.traces import Words
from school.refusals import Refused
from students.lookup import student_not_found
from students.models import Student

VERSIONS: Any = Student.history.model


@dataclass(frozen=True)
class Person:
    """Whom a number stands for. ``student`` is None for one who was deleted: the history is still there."""

    pk: int
    student: Student | None
    words: Words

    @property
    def is_erased(self) -> bool:
        return self.student is not None and self.student.erased_at is not None

    @property
    def pseudonym(self) -> str:
        """The student number that stays: of the id, which the enrollments go by, and of nothing else."""
        return f"erased-{self.pk}"


def find_person(number: str) -> Person:
    """Return whom a student number stands for, or stood for until it was deleted; raise ``Refused``."""
    student = Student.objects.filter(student_number=number).first()
    if student is not None:
        return person_of(student)
    gone = VERSIONS.objects.filter(student_number=number).exclude(id__in=Student.objects.values("pk"))
    pk = gone.order_by("-history_id").values_list("id", flat=True).first()
    if pk is None:
        raise Refused([student_not_found(number)])
    return _person(pk, None)


def person_of(student: Student) -> Person:
    return _person(student.pk, student)


def _person(pk: int, student: Student | None) -> Person:
    """Know the person by every number and email, earlier ones too, that are not somebody else's by now."""
    known = list(VERSIONS.objects.filter(id=pk).values_list("student_number", "email"))
    if student is not None:
        known.append((student.student_number, student.email))
    numbers, emails = {number for number, _email in known}, {email.lower() for _number, email in known if email}
    others = Student.objects.exclude(pk=pk)
    numbers -= set(others.filter(student_number__in=numbers).values_list("student_number", flat=True))
    emails -= set(others.annotate(spelled=Lower("email")).filter(spelled__in=emails).values_list("spelled", flat=True))
    return Person(pk, student, Words(numbers, emails))
