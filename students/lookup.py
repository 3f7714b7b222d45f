"""Lookup of students by id and student number, with suggestions for unknown ones."""

from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import QuerySet

from courses.lookup import MAX_QUERY_VALUES
from school.db.compiled_queries import PreparedQuery
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, Refused, explain_identifier, suggest_key
from school.validators import normalized, parse_ids, similar_identifiers
from students.models import Student


def student_ids_by_number(numbers: Iterable[str]) -> dict[str, int]:
    """Return the ids of students by their normalized numbers, in one query; unknown numbers are left out."""
    return dict(STUDENT_IDS_BY_NUMBER(list(set(numbers))))


STUDENT_IDS_BY_NUMBER: PreparedQuery[Any] = PreparedQuery(
    lambda numbers: Student.objects.filter(student_number__any_of=numbers).values_list("student_number", "pk")
)
STUDENTS_BY_ID: PreparedQuery[Student] = PreparedQuery(lambda ids: Student.objects.filter(pk__any_of=ids).order_by())


def find_student(identifier: str, students: QuerySet[Student] | None = None) -> Student:
    """
    Return the student with an id or key (``number:S-1042``), among ``students`` or all of them.

    Raise ``Refused`` if there is none.
    """
    if identifier.startswith("number:"):
        students = Student.objects.all() if students is None else students
        number = normalized(identifier.removeprefix("number:"))
        student = students.filter(student_number=number).first()
    elif students is None:
        student = next(iter(STUDENTS_BY_ID(parse_ids(identifier))), None)
    else:
        student = students.filter(pk__in=parse_ids(identifier)).first()
    if student is None:
        raise Refused([_not_found(identifier, Student.objects.all() if students is None else students)])
    return student


def resolve_student_id(identifier: str, visible: QuerySet[Student] | None = None) -> int:
    """
    Return the id of the student with an id or key (``number:S-1042``); raise ``Refused`` for an unknown number.

    An id is returned unchecked: the enrollment service checks it. A refusal suggests a similar number among the
    ``visible`` students, or among all.
    """
    ids = parse_ids(identifier)
    if ids:
        return ids[0]
    number = normalized(identifier.removeprefix("number:"))
    ids = student_ids_by_number([number]) if identifier.startswith("number:") else {}
    if number not in ids:
        raise Refused([_not_found(identifier, Student.objects.all() if visible is None else visible)])
    return ids[number]


def _not_found(identifier: str, visible: QuerySet[Student]) -> Refusal:
    if not identifier.startswith("number:"):
        return student_not_found(identifier, suggest_key(identifier, "number:"))
    number = normalized(identifier.removeprefix("number:"))
    return students_not_found([number], visible, prefix="number:")[number]


def similar_numbers(numbers: Collection[str], visible: QuerySet[Student]) -> dict[str, str]:
    """
    Return, for unknown student numbers, similar numbers of visible students. Numbers without one are left out.

    Similar numbers differ in case, in separators, in invisible or look-alike characters, or in changes that
    spreadsheets make to numbers.
    """
    likely = {number: similar_identifiers(number) for number in numbers}
    candidates = list({each for several in likely.values() for each in several})
    known: set[str] = set()
    for start in range(0, len(candidates), MAX_QUERY_VALUES):
        matches = visible.filter(student_number__in=candidates[start : start + MAX_QUERY_VALUES])
        known.update(matches.values_list("student_number", flat=True))
    similar = {number: next((each for each in several if each in known), "") for number, several in likely.items()}
    return {number: each for number, each in similar.items() if each}


def students_not_found(
    numbers: Collection[str], visible: QuerySet[Student], prefix: str = "", max_suggestions: int | None = None
) -> dict[str, Refusal]:
    """
    Return a refusal for each number that no student has.

    For the first ``max_suggestions`` numbers, or for all, the refusals explain the fault of the number and suggest a
    similar number of a visible student, with ``prefix`` before it.
    """
    refusals = {number: student_not_found(f"number:{number.removeprefix('number:')}") for number in numbers}
    explicable = list(numbers)[:max_suggestions]
    similar = similar_numbers(explicable, visible)
    for number in explicable:
        meant = f"{prefix}{similar[number]}" if number in similar else None
        refusals[number] = explain_identifier(refusals[number], number, meant)
    return refusals


def student_not_found(key: object, hint: str = "") -> Refusal:
    """Return the refusal of an unknown id or key (``number:S-1042``), with ``hint`` appended to its message."""
    message = _("There is no student %(key)s.") % {"key": key} + hint
    return Refusal("student_not_found", message, _("Student not found"))
