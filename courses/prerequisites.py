"""
Prerequisites of courses.

A prerequisite names codes of courses, in any term (``courses.prerequisite_items``), and prerequisites never form a
cycle, whichever alternatives a student takes. A limited client does not learn the code of a course outside its limits.
An item with such a code is hidden: it is left out of the prerequisites that the client reads and out of every message,
which gives the number of hidden items instead. A write keeps them, and a client that sends such a code gets the answer
for a code that no course has.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.translation import ngettext

from courses.grades import GradeTable, load_table, minimum_grade_refusals
from courses.lookup import course_not_found
from courses.models import Course
from courses.prerequisite_items import (
    Item,
    all_codes,
    codes_of,
    describe,
    distinct_items,
    limit_refusals,
    minimum_grades,
    rename_code,
)
from school.access.row_scope import RowScope, filter_by_scope, outside_scope_refusal
from school.i18n.stored_messages import translatable as _
from school.identifiers import similar_identifiers
from school.refusals import Refusal, Refused, explain_identifier, validation_error

FIELD = "prerequisites"
LOCK_ID = 0x5C41 << 48  # the key of the advisory lock, which no other advisory lock of School uses
MAX_EXPLAINED_CODES = 100  # the maximum number of unknown codes for which similar ones are looked up
MAX_SHOWN_COURSES = 10  # the maximum number of courses that one message names


def lock_prerequisites() -> None:
    """
    Wait for every other transaction that changes prerequisites, or the codes that they name.

    Take this lock before locks of rows: a transaction that waits for it must not hold a row that its holder needs.
    SQLite needs no lock, because it has one writer at a time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_ID])


def lock_for_rename(course_id: int, code: str) -> None:
    """Lock the prerequisites, a course, and the courses that have or require its present code or its new one."""
    lock_prerequisites()
    codes = {code, *Course.objects.filter(pk=course_id).values_list("code", flat=True)}
    ids = [course_id, *(course.pk for course in courses_requiring(codes))]
    _lock(Q(pk__in=ids) | Q(code__in=codes))


def lock_sections(code: str, course_id: int | None = None) -> None:
    """
    Lock the courses with this code, before another one is added or the course ``course_id`` becomes one of them.

    A transaction that enrolls in one of them has seen no other section, and has not locked the student.
    """
    lock_prerequisites()
    _lock(Q(code=code) | Q(pk=course_id))


def _lock(condition: Q) -> None:
    list(Course.objects.filter(condition).select_for_update(no_key=True).order_by("pk").values_list("pk"))


def visible_codes(row_scope: RowScope | None) -> frozenset[str] | None:
    """Return the codes that a caller with this row scope sees; None if the caller sees all codes."""
    if row_scope is None or not row_scope.is_client:
        return None
    return frozenset(filter_by_scope(Course.objects.all(), row_scope).values_list("code", flat=True))


def filter_visible(items: Iterable[Item], visible: Collection[str] | None) -> list[Item]:
    """Return the items that are visible, in their order: the caller sees all of their codes."""
    return [item for item in items if visible is None or all(code in visible for code in codes_of(item))]


def merge_hidden(items: list[Item], stored: list[Item], visible: Collection[str] | None) -> list[Item]:
    """
    Return the items to store: those that a limited caller has sent, and the stored ones that the caller does not see.
    """
    seen = filter_visible(stored, visible)
    return stored if items == seen else [*items, *(item for item in stored if item not in seen)]


def list_items(items: Iterable[Item], visible: Collection[str] | None) -> str:
    """Return the text for a list of items in a message: the visible ones, and the number of the others."""
    items = list(items)
    parts = filter_visible(items, visible)
    return ", ".join(_append_count([*map(describe, parts)], len(items) - len(parts)))


def _format_cycle(cycle: list[str], visible: Collection[str] | None) -> str:
    """
    Return the text for a cycle in a message: the codes in their order, with a number in place of hidden codes.

    The cycle begins and ends with a code that the caller sees.
    """
    parts = []
    for is_visible, group in groupby(cycle, lambda each: visible is None or each in visible or each == cycle[0]):
        codes = list(group)
        parts += codes if is_visible else _append_count([], len(codes))
    return " ← ".join(parts)


def _append_count(names: list[str], more: int) -> list[str]:
    return [*names, ngettext("%(n)s more course", "%(n)s more courses", more) % {"n": more}] if more else names


def check_prerequisites(
    code: str, prerequisites: list[Item], *, course_id: int | None = None, visible: Collection[str] | None = None
) -> list[Item]:
    """
    Return the prerequisites to store, without duplicates.

    Raise ``ValidationError`` for a list that is too long, for a code that no course has, for a grade that cannot be a
    minimum, and for a course that would come before itself.

    ``course_id`` is the course that is changed: its present code and prerequisites are ignored. Other courses that
    require its present code are treated as if they required the new one, which ``rename_in_prerequisites`` writes.
    Until the end of the transaction no other transaction can save prerequisites: two changes at the same time could
    create a cycle together. ``visible`` has the codes that the caller sees, None for all.
    """
    prerequisites = distinct_items(prerequisites)
    if prerequisites or course_id:
        lock_prerequisites()
    others = Course.objects.exclude(pk__in=[course_id] if course_id else [])
    current = Course.objects.filter(pk=course_id).values_list("code", FIELD).first() if course_id else None
    current_code, stored = current or (None, [])
    if exceeded := limit_refusals(merge_hidden(prerequisites, stored, visible), stored, FIELD):
        raise validation_error(exceeded)
    is_renamed = current_code not in (None, code)
    is_code_replaced = is_renamed and not others.filter(code=current_code).exists()
    prerequisites_by_code = _prerequisites_by_code(others, {current_code: code} if is_code_replaced else {})
    required = set(all_codes(prerequisites))
    seen = [each for each in required if visible is None or each in visible]
    known = set(others.filter(code__in=seen).values_list("code", flat=True)) | {code}
    refusals = [*unknown_code_refusals(sorted(required - known), others, visible).values()]
    refusals += _grade_refusals(prerequisites)
    prerequisites = merge_hidden([item for item in prerequisites if known.issuperset(codes_of(item))], stored, visible)
    next_codes = all_codes(prerequisites)
    next_codes += prerequisites_by_code.get(code, ()) if is_renamed else ()
    if cycle := _find_cycle(code, next_codes, prerequisites_by_code):
        refusals.append(_cycle_refusal(cycle, visible).with_field("code" if is_renamed else FIELD))
    if refusals:
        raise validation_error(refusals)
    return prerequisites


def check_visibility(
    items: list[Item],
    stored: list[Item],
    visible: Collection[str] | None,
    added: Collection[str],
    *,
    field: str = FIELD,
) -> list[Item]:
    """
    Return the prerequisites, or corequisites, to store for a course of a batch, each once, with the hidden stored ones.

    Raise ``ValidationError`` for a code that a limited caller does not see, and that is not in ``added``, the codes of
    the batch. The saver checks the rest for all courses of the batch.
    """
    items = distinct_items(items)
    if visible is None:
        return items
    unknown = [code for code in all_codes(items) if code not in visible and code not in added]
    if refusals := unknown_code_refusals(unknown, Course.objects.none(), visible, field):
        raise validation_error(refusals.values())
    return merge_hidden(items, stored, visible)


def prerequisite_refusals(
    courses: Sequence[Course], is_added_later: Callable[[str], bool], visible: Collection[str] | None = None
) -> dict[int, list[Refusal]]:
    """
    Return the refusals of courses that are about to be saved together, by ``id()``, under the rules for prerequisites.

    The courses may require each other. A prerequisite that is stored already is not checked again. ``is_added_later``
    says of a code whether the same transaction adds a course with it later. The caller has locked the prerequisites.
    Only the refusals of the first ``MAX_EXPLAINED_CODES`` unknown codes suggest a similar code. Messages name only
    ``visible`` codes; None: all.
    """
    stored = dict(
        Course.objects.filter(pk__in=[each.pk for each in courses if each.pk]).values_list("pk", "prerequisites")
    )
    changed = [each for each in courses if each.prerequisites and each.prerequisites != stored.get(each.pk)]
    exceeded = {id(each): limit_refusals(each.prerequisites, stored.get(each.pk, []), FIELD) for each in changed}
    refusals = {key: each for key, each in exceeded.items() if each}
    changed = [each for each in changed if id(each) not in refusals]
    if not changed:
        return refusals
    every_course = Course.objects.all()
    required = {code for course in changed for code in all_codes(course.prerequisites)}
    existing = set(every_course.filter(code__in=required).values_list("code", flat=True))
    unchanged = _prerequisites_by_code(Course.objects.exclude(pk__in=[each.pk for each in changed if each.pk]), {})
    unknown = sorted(code for code in required - existing if not is_added_later(code))
    unknown_refusals = unknown_code_refusals(unknown, every_course, visible)
    table = load_table() if any(minimum_grades(each.prerequisites) for each in changed) else GradeTable()
    while True:
        added = {each.code for each in courses if id(each) not in refusals}
        accepted = [each for each in changed if id(each) not in refusals]
        found: dict[int, list[Refusal]] = {}
        for course in accepted:
            codes = all_codes(course.prerequisites)
            faults = [unknown_refusals[each] for each in codes if each in unknown_refusals and each not in added]
            if faults := faults + minimum_grade_refusals(minimum_grades(course.prerequisites), table):
                found[id(course)] = faults
        refusals |= found or _cycle_refusals(accepted, unchanged, visible)
        if len(accepted) == len([each for each in changed if id(each) not in refusals]):
            return refusals


def rename_in_prerequisites(course_id: int, code: str, row_scope: RowScope | None = None) -> None:
    """
    Replace a course's present code by its new one in the prerequisites that name it.

    Call it before the course is saved, in the same transaction. If another course keeps the present code, the
    prerequisites keep it, too. Raise ``Refused`` if a course that would change lies outside of ``row_scope``.
    """
    current_code = _code_of(course_id)
    if current_code in (None, code):
        return
    lock_for_rename(course_id, code)
    if Course.objects.filter(code=current_code).exclude(pk=course_id).exists():
        return
    requiring = courses_requiring({current_code})
    changeable = filter_by_scope(
        Course.objects.filter(pk__in=[each.pk for each in requiring]), row_scope, to_change=True
    )
    if changeable.count() < len(requiring):
        raise Refused([outside_scope_refusal()])
    for course in requiring:
        course.prerequisites = rename_code(course.prerequisites, current_code, code)
        course.corequisites = rename_code(course.corequisites, current_code, code)
        course.save(update_fields=["prerequisites", "corequisites"])


def deletion_refusals(ids: Collection[int], row_scope: RowScope | None = None) -> dict[int, Refusal]:
    """
    Return, by id, why some of these courses cannot be deleted: others require a code that no course would have.

    A message names the courses within ``row_scope``, and gives the number of the others.
    """
    lock_prerequisites()
    codes = dict(Course.objects.filter(pk__in=ids).values_list("pk", "code"))
    others = Course.objects.exclude(pk__in=ids)
    lost_codes = set(codes.values()) - set(others.filter(code__in=codes.values()).values_list("code", flat=True))
    requiring = [each for each in courses_requiring(lost_codes) if each.pk not in codes]
    visible = filter_by_scope(Course.objects.filter(pk__in=[each.pk for each in requiring]), row_scope).select_related(
        "term"
    )
    keys = {course.pk: course.full_code for course in visible}
    refusals = {}
    for pk, code in codes.items():
        requiring_ids = [each.pk for each in requiring if code in _required_codes(each)]
        if requiring_ids and code in lost_codes:
            refusals[pk] = _is_prerequisite_refusal(
                code, [keys[each] for each in requiring_ids if each in keys], len(requiring_ids)
            )
    return refusals


def refuse_deletion(ids: Collection[int], row_scope: RowScope | None = None) -> None:
    """Raise ``Refused`` if other courses require a code that no course would have without these."""
    if refusals := deletion_refusals(ids, row_scope):
        raise Refused(list(refusals.values()))


def courses_requiring(codes: Collection[str]) -> list[Course]:
    """Return the courses that name one of these codes as a prerequisite or corequisite, by id."""
    courses = Course.objects.exclude(prerequisites=[], corequisites=[]).order_by("pk")
    return [course for course in courses if not set(codes).isdisjoint(_required_codes(course))] if codes else []


def _required_codes(course: Course) -> list[str]:
    return [*all_codes(course.prerequisites), *course.corequisites]


def _is_prerequisite_refusal(code: str, keys: list[str], count: int) -> Refusal:
    named = _append_count(keys[:MAX_SHOWN_COURSES], count - len(keys[:MAX_SHOWN_COURSES]))
    message = _(
        "%(code)s is a prerequisite of: %(courses)s. Remove it from their prerequisites first, or "
        "deactivate the course instead of deleting it."
    )
    return Refusal(
        "is_prerequisite", message % {"code": code, "courses": ", ".join(named)}, _("Course is a prerequisite")
    )


def unknown_code_refusals(
    codes: Sequence[str], courses: QuerySet[Course], visible: Collection[str] | None, field: str = FIELD
) -> dict[str, Refusal]:
    """Return a refusal for each code, which no course has. The first ones suggest similar codes of visible courses."""
    likely = {code: similar_identifiers(code) for code in codes[:MAX_EXPLAINED_CODES]}
    seen = {each for several in likely.values() for each in several if visible is None or each in visible}
    existing = set(courses.filter(code__in=seen).values_list("code", flat=True)) if seen else set()
    refusals = {}
    for code in codes:
        similar = next((f"code:{each}" for each in likely.get(code, ()) if each in existing), None)
        refusal = explain_identifier(course_not_found(f"code:{code}"), code, similar)
        refusals[code] = refusal.with_field(field)
    return refusals


def _grade_refusals(items: Iterable[Item]) -> list[Refusal]:
    grades = minimum_grades(items)
    return minimum_grade_refusals(grades, load_table()) if grades else []


def _cycle_refusal(cycle: list[str], visible: Collection[str] | None) -> Refusal:
    message = _("These courses would be prerequisites of themselves: %(codes)s.")
    parts = {"codes": _format_cycle(cycle, visible)}
    return Refusal("prerequisite_cycle", message % parts, field=FIELD)


def _cycle_refusals(
    courses: Sequence[Course], unchanged: Mapping[str, set[str]], visible: Collection[str] | None
) -> dict[int, list[Refusal]]:
    """Return the refusals of courses on a cycle of their prerequisites and the ``unchanged`` ones, by ``id()``."""
    by_code: dict[str, list[Course]] = defaultdict(list)
    for course in courses:
        by_code[course.code].append(course)
    graph = {**unchanged}
    for code, offerings in by_code.items():
        graph[code] = {
            *unchanged.get(code, ()),
            *(each for course in offerings for each in all_codes(course.prerequisites)),
        }
    refusals: dict[int, list[Refusal]] = {}
    for cycle in _cycles(graph, by_code):
        for position, code in enumerate(cycle):
            rotated = [*cycle[position:], *cycle[: position + 1]]
            for course in by_code.get(code, ()):
                if rotated[1] in all_codes(course.prerequisites):
                    refusals.setdefault(id(course), [_cycle_refusal(rotated, visible)])
    return refusals


def _cycles(graph: Mapping[str, Collection[str]], starts: Iterable[str]) -> Iterator[list[str]]:
    """Yield a cycle for each edge that closes one on the way from ``starts``; each edge is followed once."""
    done: set[str] = set()
    path: dict[str, Iterator[str]] = {}
    for start in starts:
        if start not in done:
            path[start] = iter(graph[start])
        while path:
            code = next(reversed(path))
            for required in path[code]:
                if required in path:
                    codes = [*path]
                    yield codes[codes.index(required) :]
                elif required in graph and required not in done:
                    path[required] = iter(graph[required])
                    break
            else:
                del path[code]
                done.add(code)


def _code_of(course_id: int | None) -> str | None:
    return Course.objects.filter(pk=course_id).values_list("code", flat=True).first() if course_id else None


def _prerequisites_by_code(courses: QuerySet[Course], renamed: Mapping[str | None, str]) -> Mapping[str, set[str]]:
    """Return the codes that each code requires, over all of its offerings, with some codes renamed."""
    prerequisites_by_code: dict[str, set[str]] = defaultdict(set)
    for course in courses.exclude(prerequisites=[]):
        prerequisites_by_code[course.code].update(renamed.get(each, each) for each in all_codes(course.prerequisites))
    return prerequisites_by_code


def _find_cycle(code: str, required: Iterable[str], prerequisites_by_code: Mapping[str, set[str]]) -> list[str]:
    """Return the codes of a cycle through ``code``, from it and back to it; an empty list if there is none."""
    stack = [[code, first] for first in required]
    visited: set[str] = set()
    while stack:
        path = stack.pop()
        if path[-1] == code:
            return path
        if path[-1] not in visited:
            visited.add(path[-1])
            stack += [[*path, next_code] for next_code in prerequisites_by_code.get(path[-1], ())]
    return []
