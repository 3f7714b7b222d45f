"""
The operations of the standard: the path of each, the objects that it answers with, and the scope that it needs.

All operations are reads. OneRoster 1.1 and 1.2 have the same ones for rostering.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from oneroster import mapping, sourced_ids, visibility
from oneroster.models import EnrollmentRecord, RecordStatus
from oneroster.record_writer import GRADING_PERIOD, STUDENT, TEACHER, TERM
from oneroster.scopes import CORE, DEMOGRAPHICS, ROSTER
from school.access.row_scope import RowScope

# The objects of a collection: their kind, and the condition for the records that are such objects.
SCHOOLS, STUDENTS, TEACHERS = Q(), Q(role=STUDENT), Q(role=TEACHER)
TERMS, GRADING_PERIODS = Q(type=TERM), Q(type=GRADING_PERIOD)
COLLECTIONS: dict[str, tuple[str, Q]] = {
    "academicSessions": ("academicSession", Q()),
    "classes": ("class", Q()),
    "courses": ("course", Q()),
    "enrollments": ("enrollment", Q()),
    "gradingPeriods": ("academicSession", GRADING_PERIODS),
    "orgs": ("org", Q()),
    "schools": ("org", SCHOOLS),
    "students": ("user", STUDENTS),
    "teachers": ("user", TEACHERS),
    "terms": ("academicSession", TERMS),
    "users": ("user", Q()),
}


class Parent(NamedTuple):
    """An object in the path of an operation, and how the objects of the answer belong to it."""

    collection: str
    related: Callable[[QuerySet[Any], UUID], QuerySet[Any]]


class Operation(NamedTuple):
    path: str
    collection: str
    scopes: frozenset[str]
    parents: tuple[Parent, ...] = ()
    is_single: bool = False


def _of_school(rows: QuerySet[Any], org: UUID) -> QuerySet[Any]:
    return rows


def _classes_of_course(rows: QuerySet[Any], course: UUID) -> QuerySet[Any]:
    return rows.filter(course_ref=course)


def _classes_of_term(rows: QuerySet[Any], term: UUID) -> QuerySet[Any]:
    return rows.filter(session_ref=term)


def _classes_of_user(rows: QuerySet[Any], user: UUID) -> QuerySet[Any]:
    """Return the classes in which the user is now."""
    enrollments = EnrollmentRecord.objects.filter(user_ref=user, status=RecordStatus.ACTIVE)
    return rows.filter(sourced_id__in=enrollments.values("class_ref"))


def _users_of_class(rows: QuerySet[Any], clazz: UUID) -> QuerySet[Any]:
    """Return the users who are in the class now."""
    enrollments = EnrollmentRecord.objects.filter(class_ref=clazz, status=RecordStatus.ACTIVE)
    return rows.filter(sourced_id__in=enrollments.values("user_ref"))


def _enrollments_of_class(rows: QuerySet[Any], clazz: UUID) -> QuerySet[Any]:
    return rows.filter(class_ref=clazz)


def _periods_of_term(rows: QuerySet[Any], term: UUID) -> QuerySet[Any]:
    return rows.filter(parent_ref=term)


_SCHOOL = Parent("schools", _of_school)
_CLASS_WITH_USERS = Parent("classes", _users_of_class)

OPERATIONS = (
    *(Operation(name, name, CORE | ROSTER) for name in COLLECTIONS),
    *(Operation(f"{name}/<str:sourced_id>", name, CORE | ROSTER, is_single=True) for name in COLLECTIONS),
    Operation("classes/<str:class_id>/students", "students", ROSTER, (_CLASS_WITH_USERS,)),
    Operation("classes/<str:class_id>/teachers", "teachers", ROSTER, (_CLASS_WITH_USERS,)),
    Operation("courses/<str:course_id>/classes", "classes", ROSTER, (Parent("courses", _classes_of_course),)),
    *(
        Operation(f"schools/<str:school_id>/{name}", name, ROSTER, (_SCHOOL,))
        for name in ("classes", "courses", "enrollments", "students", "teachers", "terms")
    ),
    Operation(
        "schools/<str:school_id>/classes/<str:class_id>/enrollments",
        "enrollments",
        ROSTER,
        (_SCHOOL, Parent("classes", _enrollments_of_class)),
    ),
    *(
        Operation(f"schools/<str:school_id>/classes/<str:class_id>/{name}", name, ROSTER, (_SCHOOL, _CLASS_WITH_USERS))
        for name in ("students", "teachers")
    ),
    *(
        Operation(f"{name}/<str:user_id>/classes", "classes", ROSTER, (Parent(name, _classes_of_user),))
        for name in ("students", "teachers", "users")
    ),
    Operation("terms/<str:term_id>/classes", "classes", ROSTER, (Parent("terms", _classes_of_term),)),
    Operation("terms/<str:term_id>/gradingPeriods", "gradingPeriods", ROSTER, (Parent("terms", _periods_of_term),)),
)
DEMOGRAPHICS_OPERATIONS = (
    Operation("demographics", "demographics", DEMOGRAPHICS),
    Operation("demographics/<str:sourced_id>", "demographics", DEMOGRAPHICS, is_single=True),
)


def kind_of(collection: str, version: str) -> mapping.Kind:
    singular = COLLECTIONS[collection][0]
    return next(kind for kind in mapping.kinds(version) if kind.singular == singular)


def rows_of(collection: str, version: str, row_scope: RowScope | None) -> QuerySet[Any]:
    """Return the records of a collection that a caller sees."""
    _singular, condition = COLLECTIONS[collection]
    return visibility.records_in_scope(kind_of(collection, version).model, row_scope).filter(condition)


def find(collection: str, version: str, row_scope: RowScope | None, sourced_id: str) -> QuerySet[Any]:
    """Return the record with an id in a path, or none."""
    parsed = sourced_ids.parse(sourced_id)
    rows = rows_of(collection, version, row_scope)
    return rows.none() if parsed is None else rows.filter(sourced_id=parsed)
