"""What must be completed before a course: codes, whatever the term, and never in a circle."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils.translation import gettext as _

from courses.models import Course

PREREQUISITES = 0x5C41 << 48  # the key of an advisory lock, unlike any other of School's


def check_prerequisites(code: str, prerequisites: list[str], *, course_id: int | None = None) -> None:
    """
    Raise ``ValidationError`` for a code that no course has, and for a course that would come before itself.

    ``course_id`` is the course that is changed: what it asks for now does not count any more. Within the transaction
    that saves the course nobody else can save prerequisites: two changes at once could close a circle together.
    """
    if prerequisites:
        _one_at_a_time()
    errors = []
    known = set(Course.objects.filter(code__in=prerequisites).values_list("code", flat=True)) | {code}
    for unknown in sorted(set(prerequisites) - known):
        message = _("There is no course %(code)s.") % {"code": unknown}
        errors.append(ValidationError(message, code="course_not_found"))
    circle = _way_back(code, prerequisites, _asked_for(course_id)) if prerequisites else []
    if circle:
        message = _("These courses would come before themselves: %(codes)s.") % {"codes": " ← ".join(circle)}
        errors.append(ValidationError(message, code="prerequisite_cycle"))
    if errors:
        raise ValidationError({"prerequisites": errors})


def _one_at_a_time() -> None:
    """Wait for who else is about to save prerequisites. SQLite has one writer at a time anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PREREQUISITES])


def _asked_for(course_id: int | None) -> Mapping[str, set[str]]:
    """Return what each code asks for, over all of its offerings, in one query."""
    asked: dict[str, set[str]] = defaultdict(set)
    others = Course.objects.exclude(prerequisites=[]).exclude(pk__in=[course_id] if course_id else [])
    for code, prerequisites in others.values_list("code", "prerequisites"):
        asked[code].update(prerequisites)
    return asked


def _way_back(code: str, prerequisites: Iterable[str], asked: Mapping[str, set[str]]) -> list[str]:
    """Return the codes of a circle through `code`, from it and back to it; none where there is no circle."""
    ways = [[code, first] for first in prerequisites]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == code:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, following] for following in asked.get(way[-1], ())]
    return []
