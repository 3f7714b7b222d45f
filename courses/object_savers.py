"""Savers of terms and courses, for imports and for batches of the API."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any

from django.db.models import QuerySet

from bulk.importers.object_saver import ObjectEntry, ObjectSaver
from courses.corequisites import corequisite_refusals
from courses.lookup import key_of
from courses.models import Course, Term
from courses.prerequisites import lock_prerequisites, prerequisite_refusals
from school.refusals import Refusal


class TermSaver(ObjectSaver):
    model = Term
    row_constraints = (
        "term_ends_after_it_starts",
        "term_drop_deadline_is_within_its_dates",
        "term_census_is_within_its_dates",
    )

    def find_by_keys(self, keys: Collection[Any]) -> dict[Hashable, Any]:
        terms = Term.objects.filter(code__in=keys)
        return {term.code: term for term in terms.select_for_update(no_key=True).order_by("pk")}


class CourseSaver(ObjectSaver):
    """Saves courses without students. ``students.imports`` extends it, because a change may free seats."""

    model = Course
    row_constraints = ("course_enrollment_closes_after_it_opens",)
    # The codes that the sender sees; None: all of them.
    visible_codes: Collection[str] | None = None

    def find_by_keys(self, keys: Collection[Any]) -> dict[Hashable, Any]:
        lock_prerequisites()
        return self.find_by_codes({key.code for key in keys})

    def find_by_codes(self, codes: Collection[str]) -> dict[Hashable, Any]:
        """Lock and return all courses with these codes, by ``CourseKey``."""
        return {key_of(course): course for course in lock_courses(Course.objects.filter(code__in=codes))}

    def is_added_later(self, code: str) -> bool:
        """Return True if the transaction adds a course with this code later."""
        return False

    def save_objects(
        self, entries: Sequence[ObjectEntry], field_names: Sequence[str]
    ) -> tuple[dict[int, list[Refusal]], dict[int, str]]:
        """Save the courses as the base class does, except those whose prerequisites or corequisites are invalid."""
        invalid = self.constraint_violations(entries)
        valid = {id(each.instance): each.instance for each in entries if id(each.instance) not in invalid}
        checked = ([*valid.values()], self.is_added_later, self.visible_codes)
        refused = prerequisite_refusals(*checked)
        for key, refusals in corequisite_refusals(*checked).items():
            refused[key] = [*refused.get(key, ()), *refusals]
        remaining = [each for each in entries if id(each.instance) not in refused]
        others, reassigned = super().save_objects(remaining, field_names)
        return refused | others, reassigned


def lock_courses(courses: QuerySet[Course], *, no_key: bool = True) -> QuerySet[Course]:
    """Return the courses, locked in the order of their ids."""
    locked = courses.select_related("term").select_for_update(of=("self",), no_key=no_key)
    return locked.order_by("pk")
