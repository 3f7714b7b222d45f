"""
Prerequisites of courses: codes that some course has, in any term, and never in a cycle.

A limited client does not learn the code of a course outside its limits. Such codes are hidden: they are left out of the
prerequisites that the client reads and out of every message, which gives their number instead. A write keeps them, and
a client that sends one gets the answer for a code that no course has.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import ngettext

from courses.lookup import course_not_found
from courses.models import Course
from school.access.row_scope import Limits, outside_limits, within
from school.i18n.stored_messages import sentence as _
from school.refusals import Refusal, Refused, explained
from school.validators import similar_identifiers

PREREQUISITES = 0x5C41 << 48  # the key of an advisory lock, different from School's other ones
MAX_NAMED = 10  # courses that one message names


def lock_prerequisites() -> None:
    """
    Wait for every other transaction that changes prerequisites, or the codes that they name.

    Take this lock before locks of rows: a transaction that waits for it must not hold a row that its holder needs.
    SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PREREQUISITES])


def lock_for_rename(course_id: int, code: str) -> None:
    """Lock the prerequisites, a course, and the courses that require its present code or its new one."""
    lock_prerequisites()
    codes = {code, *Course.objects.filter(pk=course_id).values_list("code", flat=True)}
    ids = [course_id, *(course.pk for course in courses_asking_for(codes))]
    list(Course.objects.filter(pk__in=ids).select_for_update(no_key=True).order_by("pk").values_list("pk"))


def visible_codes(limits: Limits | None) -> frozenset[str] | None:
    """Return the codes that a caller with these limits sees, None for all."""
    if limits is None or not limits.is_client:
        return None
    return frozenset(within(Course.objects.all(), limits).values_list("code", flat=True))


def only_visible(codes: Iterable[str], visible: Collection[str] | None) -> list[str]:
    """Return the codes that are visible, in their order."""
    return [code for code in codes if visible is None or code in visible]


def with_hidden(codes: list[str], stored: list[str], visible: Collection[str] | None) -> list[str]:
    """Return the codes to store if a caller, who sees some of the stored codes, sends other codes for these."""
    if codes == only_visible(stored, visible):
        return stored
    return [*codes, *(code for code in stored if visible is not None and code not in visible)]


def list_codes(codes: Iterable[str], visible: Collection[str] | None) -> str:
    """Return codes for a message: those that are visible, and the number of the others."""
    codes = list(codes)
    shown = only_visible(codes, visible)
    return ", ".join(_with_more(shown, len(codes) - len(shown)))


def _in_words(circle: list[str], visible: Collection[str] | None) -> str:
    """Return the codes of a cycle, which begins and ends with the caller's own, with a number for hidden ones."""
    shown = []
    for is_visible, group in groupby(circle, lambda each: visible is None or each in visible or each == circle[0]):
        codes = list(group)
        shown += codes if is_visible else _with_more([], len(codes))
    return " ← ".join(shown)


def _with_more(names: list[str], more: int) -> list[str]:
    return [*names, ngettext("%(n)s more course", "%(n)s more courses", more) % {"n": more}] if more else names


def check_prerequisites(
    code: str, prerequisites: list[str], *, course_id: int | None = None, visible: Collection[str] | None = None
) -> list[str]:
    """
    Return the prerequisites to store, without duplicates.

    Raise ``ValidationError`` for a code that no course has, and for a course that would come before itself.

    ``course_id`` is the course that is changed: its present code and prerequisites are ignored. Other courses that
    require its present code are treated as if they required the new one, which ``rename_in_prerequisites`` writes.
    Until the end of the transaction no other transaction can save prerequisites: two changes at the same time could
    create a cycle together. ``visible`` has the codes that the caller sees, None for all.
    """
    prerequisites = list(dict.fromkeys(prerequisites))
    if prerequisites or course_id:
        lock_prerequisites()
    others = Course.objects.exclude(pk__in=[course_id] if course_id else [])
    present = _code_of(course_id)
    is_renamed = present not in (None, code)
    is_followed = is_renamed and not others.filter(code=present).exists()
    asked = _asked_for(others, {present: code} if is_followed else {})
    errors: dict[str, list[ValidationError]] = defaultdict(list)
    known = set(others.filter(code__in=only_visible(prerequisites, visible)).values_list("code", flat=True)) | {code}
    for unknown in sorted(set(prerequisites) - known):
        likely = similar_identifiers(unknown)
        there = set(others.filter(code__in=only_visible(likely, visible)).values_list("code", flat=True))
        similar = next((f"code:{each}" for each in likely if each in there), None)
        refusal = explained(course_not_found(f"code:{unknown}"), unknown, similar)
        errors["prerequisites"].append(ValidationError(refusal.message, code=refusal.code))
    stored = Course.objects.filter(pk=course_id).values_list("prerequisites", flat=True).first() if course_id else []
    prerequisites = with_hidden([each for each in prerequisites if each in known], stored or [], visible)
    first = [*prerequisites, *asked.get(code, ())] if is_renamed else prerequisites
    if circle := _way_back(code, first, asked):
        message = _("These courses would be prerequisites of themselves: %(codes)s.") % {
            "codes": _in_words(circle, visible)
        }
        field = "code" if is_renamed else "prerequisites"
        errors[field].append(ValidationError(message, code="prerequisite_cycle"))
    if errors:
        raise ValidationError(dict(errors))
    return prerequisites


def rename_in_prerequisites(course_id: int, code: str, limits: Limits | None = None) -> None:
    """
    Replace a course's present code by its new one in the prerequisites that name it.

    Call it before the course is saved, in the same transaction. If another course keeps the present code, the
    prerequisites keep it, too. Raise ``Refused`` if a course that would change lies outside of ``limits``.
    """
    present = _code_of(course_id)
    if present in (None, code):
        return
    lock_for_rename(course_id, code)
    if Course.objects.filter(code=present).exclude(pk=course_id).exists():
        return
    asking = courses_asking_for({present})
    if within(Course.objects.filter(pk__in=[each.pk for each in asking]), limits, to_change=True).count() < len(asking):
        raise Refused([outside_limits()])
    for course in asking:
        codes = [code if each == present else each for each in course.prerequisites]
        course.prerequisites = list(dict.fromkeys(codes))
        course.save(update_fields=["prerequisites"])


def reasons_to_keep(ids: Collection[int], limits: Limits | None = None) -> dict[int, Refusal]:
    """
    Return, by id, why some of these courses cannot be deleted: others require a code that no course would have.

    A message names the courses within ``limits``, and gives the number of the others.
    """
    lock_prerequisites()
    codes = dict(Course.objects.filter(pk__in=ids).values_list("pk", "code"))
    others = Course.objects.exclude(pk__in=ids)
    last = set(codes.values()) - set(others.filter(code__in=codes.values()).values_list("code", flat=True))
    asking = [each for each in courses_asking_for(last) if each.pk not in codes]
    named = within(Course.objects.filter(pk__in=[each.pk for each in asking]), limits).select_related("term")
    keys = {course.pk: course.key for course in named}
    reasons = {}
    for pk, code in codes.items():
        by = [each.pk for each in asking if code in each.prerequisites]
        if by and code in last:
            reasons[pk] = _is_prerequisite(code, [keys[each] for each in by if each in keys], len(by))
    return reasons


def refuse_to_delete(ids: Collection[int], limits: Limits | None = None) -> None:
    """Raise ``Refused`` if other courses require a code that no course would have without these."""
    if reasons := reasons_to_keep(ids, limits):
        raise Refused(list(reasons.values()))


def courses_asking_for(codes: Collection[str]) -> list[Course]:
    """Return the courses that name one of these codes as a prerequisite, by id."""
    asking = Course.objects.exclude(prerequisites=[]).order_by("pk")
    return [course for course in asking if not set(codes).isdisjoint(course.prerequisites)] if codes else []


def _is_prerequisite(code: str, keys: list[str], count: int) -> Refusal:
    named = _with_more(keys[:MAX_NAMED], count - len(keys[:MAX_NAMED]))
    message = _(
        "%(code)s is a prerequisite of: %(courses)s. Remove it from their prerequisites first, or "
        "deactivate the course instead of deleting it."
    )
    return Refusal(
        "is_prerequisite", message % {"code": code, "courses": ", ".join(named)}, _("Course is a prerequisite")
    )


def _code_of(course_id: int | None) -> str | None:
    return Course.objects.filter(pk=course_id).values_list("code", flat=True).first() if course_id else None


def _asked_for(courses: QuerySet[Course], renamed: Mapping[str | None, str]) -> Mapping[str, set[str]]:
    """Return the codes that each code requires, over all of its offerings, with some codes renamed."""
    asked: dict[str, set[str]] = defaultdict(set)
    for course in courses.exclude(prerequisites=[]):
        asked[course.code].update(renamed.get(each, each) for each in course.prerequisites)
    return asked


def _way_back(code: str, prerequisites: Iterable[str], asked: Mapping[str, set[str]]) -> list[str]:
    """Return the codes of a cycle through ``code``, from it and back to it; an empty list if there is none."""
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
