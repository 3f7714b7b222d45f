"""Find students by the keys that people and programs use."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from school.prepared import Prepared
from school.refusals import Refusal, Refused
from school.validators import parse_ids
from students.models import Student


def student_ids_by_number(numbers: Iterable[str]) -> dict[str, int]:
    """Return the ids of the students with these numbers, in one query; unknown numbers are left out."""
    return dict(BY_NUMBER(list(set(numbers))))


BY_NUMBER: Prepared[Any] = Prepared(
    lambda numbers: Student.objects.filter(student_number__among=numbers).values_list("student_number", "pk")
)
STUDENTS_BY_ID: Prepared[Student] = Prepared(lambda ids: Student.objects.filter(pk__among=ids).order_by())


def find_student(identifier: str, students: QuerySet[Student] | None = None) -> Student:
    """Return the student of an id or of ``number:S-1042``, among ``students`` or all of them; raise ``Refused``."""
    if identifier.startswith("number:"):
        students = Student.objects.all() if students is None else students
        student = students.filter(student_number=identifier.removeprefix("number:")).first()
    elif students is None:
        student = next(iter(STUDENTS_BY_ID(parse_ids(identifier))), None)
    else:
        student = students.filter(pk__in=parse_ids(identifier)).first()
    if student is None:
        raise Refused([student_not_found(identifier)])
    return student


def student_id_of(identifier: str) -> int:
    """
    Return the id of the student of an id or of ``number:S-1042``; raise ``Refused``.

    For the verbs, which look at the student themselves: an id is taken at its word.
    """
    ids = parse_ids(identifier)
    return ids[0] if ids else find_student(identifier).pk


def student_not_found(key: object) -> Refusal:
    message = _("There is no student %(key)s.") % {"key": key}
    return Refusal("student_not_found", message, _("Student not found"))
