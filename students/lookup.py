"""Lookup of students by id and student number, with suggestions for unknown ones."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Concat, Lower

from courses.lookup import MAX_QUERY_VALUES
from school.db.compiled_queries import PreparedQuery
from school.i18n.stored_messages import translatable as _
from school.identifiers import parse_ids, similar_identifiers
from school.refusals import Refusal, Refused, explain_identifier, suggest_key
from school.text_normalization import normalized, normalized_email
from students.models import Student

MAX_WORDS = 5  # the words of a name that are read
MAX_SUGGESTIONS = 5


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
    ids_by_number = student_ids_by_number([number]) if identifier.startswith("number:") else {}
    if number not in ids_by_number:
        raise Refused([_not_found(identifier, Student.objects.all() if visible is None else visible)])
    return ids_by_number[number]


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


def find_students(keys: Collection[str], visible: QuerySet[Student]) -> dict[str, Student]:
    """Return the visible students by those of the keys that are the number or the email address of one."""
    found = {student.student_number: student for student in visible.filter(student_number__in=keys).order_by()}
    emails = {key: normalized_email(key).lower() for key in keys if "@" in key and key not in found}
    if emails:
        # The unique index is on the lower case of the address.
        students = visible.annotate(email_key=Lower("email")).filter(email_key__in=set(emails.values())).order_by()
        by_email = {student.email.lower(): student for student in students}
        found |= {key: by_email[email] for key, email in emails.items() if email in by_email}
    return {key: found[key] for key in keys if key in found}


def match_students(keys: Collection[str], visible: QuerySet[Student]) -> dict[str, Student | Refusal]:
    """
    Return the visible student, or a refusal, of each key: a number, an email address or a name.

    A name is "given family", "family given" or "family, given". It must be the name of only one visible student.
    """
    found: dict[str, Student | Refusal] = {**find_students(keys, visible)}
    unknown = [key for key in keys if key not in found]
    names = [key for key in unknown if " " in key and "@" not in key]
    found |= _match_names(names, visible)
    for key in unknown:
        if "@" in key:
            message = _("There is no student with the email address %(email)s.") % {"email": key}
            found[key] = Refusal("student_not_found", message, _("Student not found"))
    numbers = [key for key in unknown if key not in found]
    return {**found, **students_not_found(numbers, visible)} if numbers else found


def _match_names(names: Collection[str], visible: QuerySet[Student]) -> dict[str, Student | Refusal]:
    possible = {name: _possible_names(name) for name in names}
    students: dict[tuple[str, str], list[Student]] = defaultdict(list)
    pairs = {pair for each in possible.values() for pair in each}
    if pairs:
        named = visible.annotate(name=Concat("family_name", Value("\t"), "given_name", output_field=CharField()))
        families, joined = {family for family, _given in pairs}, {"\t".join(pair) for pair in pairs}
        for student in named.filter(family_name__in=families, name__in=joined).order_by("pk"):
            students[student.family_name, student.given_name].append(student)
    return {
        name: _only_student(name, [each for pair in pairs for each in students[pair]])
        for name, pairs in possible.items()
    }


def _only_student(name: str, students: list[Student]) -> Student | Refusal:
    if len(students) == 1:
        return students[0]
    if not students:
        message = _("There is no student named %(name)s.") % {"name": name}
        return Refusal("student_not_found", message, _("Student not found"))
    values = {"name": name, "numbers": ", ".join(student.student_number for student in students[:MAX_SUGGESTIONS])}
    message = _("Several students are named %(name)s: %(numbers)s. Enter the number.") % values
    return Refusal("student_ambiguous", message, _("Name is ambiguous"))


def _possible_names(text: str) -> list[tuple[str, str]]:
    """Return the pairs of family name and given name that a text may stand for, as written and capitalized."""
    family, comma, given = text.partition(", ")
    words = text.split()[:MAX_WORDS]
    pairs = [(family, given)] if comma else []
    for index in range(1, len(words)) if not comma else ():
        first, last = " ".join(words[:index]), " ".join(words[index:])
        pairs += [(last, first), (first, last)]
    pairs += [(text, ""), ("", text)]
    capitalized = [(family.title(), given.title()) for family, given in pairs]
    return list(dict.fromkeys([*pairs, *capitalized]))


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
