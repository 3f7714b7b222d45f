"""
The kinds of changes in the change feed: entries of the journal, and versions in the histories of objects.

The writers of histories set their markers by triggers of the history tables, whichever entry point adds a version.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, CharField, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Concat

from courses.models import Course, Term
from school.db.ordered_tables import OrderedTable
from students.events.journal import JOURNAL
from students.models import Action, EnrollmentEvent, Status, Student
from students.models.student import ERASED, PSEUDONYM


@dataclass(frozen=True)
class Kind:
    """
    A kind of changes, read in the order of their ids.

    ``letter`` stands for the kind in cursors. ``digest_fields`` are the fields that the digest in a cursor covers:
    first the id of the object, third the time of the change. Nothing ever changes them, not even the erasure of a
    student. ``rows`` returns the changes; the annotation ``type`` is ``student.changed`` or the like.
    """

    name: str
    letter: str
    table: OrderedTable
    digest_fields: tuple[str, ...]
    rows: Callable[[], QuerySet[Any, Any]]


def _text_case(*cases: When, default: str) -> Case:
    return Case(*cases, default=Value(default), output_field=CharField())


def _events() -> QuerySet[Any, Any]:
    enroll, complete = Q(action=Action.ENROLL), Q(action=Action.COMPLETE)
    kind_of_change = _text_case(
        When(enroll & Q(to_status=Status.WAITLISTED), then=Value("waitlisted")),
        When(enroll & Q(from_status=Status.ENROLLED), then=Value("swapped")),
        When(enroll & Q(from_status=Status.WAITLISTED) | Q(action=Action.PROMOTE), then=Value("promoted")),
        When(enroll, then=Value("created")),
        When(Q(action=Action.DROP, to_status=Status.WITHDRAWN), then=Value("withdrawn")),
        When(Q(action=Action.DROP), then=Value("dropped")),
        When(complete & Q(from_status=Status.COMPLETED), then=Value("regraded")),
        When(complete, then=Value("completed")),
        When(Q(action=Action.PASS_OVER), then=Value("passed_over")),
        When(Q(action=Action.ADOPT), then=Value("adopted")),
        default="undone",
    )
    return EnrollmentEvent.objects.annotate(type=Concat(Value("enrollment."), kind_of_change))


def _versions(model: Any, *special: When) -> QuerySet[Any, Any]:
    """Return the history of a model, annotated with the action and the type of each change."""
    action = _text_case(
        *special,
        When(history_type="+", then=Value("created")),
        When(history_type="-", then=Value("deleted")),
        default="changed",
    )
    noun = Value(f"{model._meta.model_name}.")
    versions: QuerySet[Any, Any] = model.history.model.objects.annotate(action=action, type=Concat(noun, F("action")))
    return versions


def _course_versions() -> QuerySet[Any, Any]:
    """Return the history of courses, with the present code of the term, or the last code of a deleted one."""
    terms = Term.history.model.objects.filter(id=OuterRef("term_id")).order_by("-history_id")
    return _versions(Course).annotate(term_code=Coalesce(F("term__code"), Subquery(terms.values("code")[:1])))


VERSION_FIELDS = ("id", "history_type", "history_date")
ENROLLMENTS = Kind("enrollments", "e", JOURNAL, ("enrollment_id", "action", "at", "request_id"), _events)
STUDENTS = Kind(
    "students",
    "s",
    OrderedTable("students_historicalstudent_history_id_seq", 0x5C51),
    VERSION_FIELDS,
    lambda: _versions(Student, When(history_change_reason=ERASED, student_number=PSEUDONYM, then=Value("erased"))),
)
COURSES = Kind(
    "courses",
    "c",
    OrderedTable("courses_historicalcourse_history_id_seq", 0x5C52),
    VERSION_FIELDS,
    _course_versions,
)
TERMS = Kind(
    "terms",
    "t",
    OrderedTable("courses_historicalterm_history_id_seq", 0x5C53),
    VERSION_FIELDS,
    lambda: _versions(Term),
)
KINDS = {kind.name: kind for kind in (ENROLLMENTS, STUDENTS, COURSES, TERMS)}
