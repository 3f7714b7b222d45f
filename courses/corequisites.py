"""
Corequisites of courses: the codes of courses that a student takes in the same term, or has passed before.

Two courses may require each other. A limited client sees and changes them like prerequisites.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from django.db.models import QuerySet

from courses.models import Course
from courses.prerequisite_items import MAX_ITEMS, limit_refusals
from courses.prerequisites import lock_prerequisites, merge_hidden, unknown_code_refusals
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, validation_error

FIELD = "corequisites"


def check_corequisites(
    code: str, codes: Iterable[str], *, course_id: int | None = None, visible: Collection[str] | None = None
) -> list[str]:
    """
    Return the corequisites to store, each once.

    Raise ``ValidationError`` for a list that is too long, for unknown codes, for the course's own code, and for a new
    code of the course with which another course would require itself, because ``rename_in_prerequisites`` writes it to
    the corequisites of others.

    ``course_id`` is the course that is changed. ``visible`` has the codes that the caller sees, None for all. Until the
    end of the transaction no other transaction can change the codes.
    """
    codes = list(dict.fromkeys(codes))
    if codes or course_id:
        lock_prerequisites()
    others = Course.objects.exclude(pk__in=[course_id] if course_id else [])
    current = Course.objects.filter(pk=course_id).values_list("code", FIELD).first() if course_id else None
    current_code, stored = current or (code, [])
    merged = [str(each) for each in merge_hidden(list(codes), stored, visible)]
    if exceeded := limit_refusals(merged, stored, FIELD):
        raise validation_error(exceeded)
    seen = [each for each in codes if visible is None or each in visible]
    known = set(others.filter(code__in=seen).values_list("code", flat=True))
    unknown = [each for each in codes if each != code and each not in known]
    refusals = [*([_own_code_refusal(code)] if code in merged else ())]
    refusals += unknown_code_refusals(unknown, others, visible, FIELD).values()
    if _is_required_by_namesake(current_code, code, others):
        refusals.append(_own_code_refusal(code).with_field("code"))
    if refusals:
        raise validation_error(refusals)
    return merged


def _is_required_by_namesake(code: str, new_code: str, others: QuerySet[Course]) -> bool:
    """Return True if another course with the new code of a course requires the present code, which no other keeps."""
    if code == new_code or others.filter(code=code).exists():
        return False
    return any(code in codes for codes in others.filter(code=new_code).values_list(FIELD, flat=True))


def corequisite_refusals(
    courses: Sequence[Course], is_added_later: Callable[[str], bool], visible: Collection[str] | None = None
) -> dict[int, list[Refusal]]:
    """
    Return the refusals of courses that are about to be saved together, by ``id()``.

    The courses may require each other. ``is_added_later`` says of a code whether the same transaction adds a course
    with it later. Messages name only ``visible`` codes; None: all.
    """
    named = {code for course in courses for code in course.corequisites}
    if not named:
        return {}
    every_course = Course.objects.all()
    known = set(every_course.filter(code__in=named).values_list("code", flat=True))
    known |= {course.code for course in courses}
    unknown = sorted(code for code in named - known if not is_added_later(code))
    unknown_refusals = unknown_code_refusals(unknown, every_course, visible, FIELD)
    refusals = _limit_refusals(courses)
    for course in (each for each in courses if id(each) not in refusals):
        own = [_own_code_refusal(course.code)] if course.code in course.corequisites else []
        if faults := own + [unknown_refusals[code] for code in course.corequisites if code in unknown_refusals]:
            refusals[id(course)] = faults
    return refusals


def _limit_refusals(courses: Sequence[Course]) -> dict[int, list[Refusal]]:
    long = [course for course in courses if len(course.corequisites) > MAX_ITEMS]
    ids = [course.pk for course in long if course.pk]
    stored = dict(Course.objects.filter(pk__in=ids).values_list("pk", FIELD)) if ids else {}
    refusals = {id(each): limit_refusals(each.corequisites, stored.get(each.pk, []), FIELD) for each in long}
    return {key: each for key, each in refusals.items() if each}


def _own_code_refusal(code: str) -> Refusal:
    message = _("%(code)s cannot be a corequisite of itself.") % {"code": code}
    return Refusal("invalid", message, field=FIELD)
