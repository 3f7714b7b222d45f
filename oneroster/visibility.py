"""Visibility: which records a caller sees, all of them or those of the terms and courses of a limited client."""

from typing import Any

from django.db.models import Q, QuerySet

from oneroster import sourced_ids
from oneroster.mapping import Context
from oneroster.models import ClassRecord, CourseRecord, EnrollmentRecord, OrgRecord, Record, SessionRecord, UserRecord
from oneroster.record_writer import TERM
from school.access.row_scope import RowScope


def classes_in_scope(row_scope: RowScope | None) -> QuerySet[ClassRecord]:
    """Return the classes that a caller sees."""
    classes = ClassRecord.objects.all()
    if row_scope is None:
        return classes
    return classes.filter(Q(term_id__in=row_scope.terms) | Q(course_id__in=row_scope.courses))


def records_in_scope(model: type[Record], row_scope: RowScope | None) -> QuerySet[Any]:
    """
    Return the records that a caller sees: all, or what belongs to the terms and courses of a limited client.

    A limited client sees the school, its classes with their courses, terms and enrollments, and the users that have or
    had a place in one of its classes.
    """
    records = model._default_manager.all()
    if row_scope is None or model is OrgRecord:
        return records
    classes = classes_in_scope(row_scope)
    if model is ClassRecord:
        return classes
    if model is CourseRecord:
        return records.filter(sourced_id__in=classes.values("course_ref"))
    enrollments = EnrollmentRecord.objects.filter(class_ref__in=classes.values("sourced_id"))
    if model is EnrollmentRecord:
        return enrollments
    if model is UserRecord:
        return records.filter(sourced_id__in=enrollments.values("user_ref"))
    terms = SessionRecord.objects.filter(
        Q(term_id__in=row_scope.visible_terms) | Q(sourced_id__in=classes.values("session_ref")), type=TERM
    )
    ids = terms.values("sourced_id")
    return records.filter(Q(sourced_id__in=ids) | Q(parent_ref__in=ids) | Q(sourced_id__in=terms.values("parent_ref")))


def context_for(version: str, base_url: str, row_scope: RowScope | None) -> Context:
    visible = None
    if row_scope is not None:
        ids = records_in_scope(SessionRecord, row_scope).values_list("sourced_id", flat=True)
        visible = frozenset(map(str, ids))
    return Context(version, base_url, sourced_ids.org_id(), visible)
