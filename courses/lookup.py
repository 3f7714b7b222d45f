"""Find courses by the keys that people and programs use."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from courses.models import Course, Term
from school.refusals import Refusal, Refused
from school.validators import parse_ids


class CourseKey(NamedTuple):
    """A course's code and its term's code. Without a term it is the one course with this code."""

    code: str
    term: str = ""

    def __str__(self) -> str:
        return f"{self.code}@{self.term}" if self.term else self.code


def courses_by_key(
    keys: Iterable[CourseKey], courses: QuerySet[Course] | None = None
) -> dict[CourseKey, Course | Refusal]:
    """
    Find the courses of many keys in one query, among ``courses`` or all of them.

    A key that fits none, or several, gets a refusal.
    """
    keys = set(keys)
    courses = Course.objects.all() if courses is None else courses
    offerings: dict[str, dict[str, Course]] = defaultdict(dict)
    for course in courses.filter(code__in={key.code for key in keys}).select_related("term"):
        offerings[course.code][course.term.code if course.term else ""] = course
    return {key: _choose(key, offerings[key.code]) for key in keys}


def course_key(identifier: str) -> CourseKey:
    """Return the key in ``code:MATH-101`` or ``code:MATH-101@2026F``."""
    code, _at, term = identifier.removeprefix("code:").partition("@")
    return CourseKey(code, term)


def find_course(identifier: str, courses: QuerySet[Course] | None = None) -> Course:
    """Return the course of an id, ``code:MATH-101`` or ``code:MATH-101@2026F``; raise ``Refused``."""
    courses = Course.objects.all() if courses is None else courses
    if identifier.startswith("code:"):
        key = course_key(identifier)
        found = courses_by_key([key], courses)[key]
        if isinstance(found, Refusal):
            raise Refused([found])
        return found
    course = courses.select_related("term").filter(pk__in=parse_ids(identifier)).first()
    if course is None:
        raise Refused([course_not_found(identifier)])
    return course


def find_term(identifier: str, terms: QuerySet[Term] | None = None) -> Term:
    """Return the term of an id or of ``code:2026F``, among ``terms`` or all of them; raise ``Refused``."""
    terms = Term.objects.all() if terms is None else terms
    if identifier.startswith("code:"):
        wanted = terms.filter(code=identifier.removeprefix("code:"))
    else:
        wanted = terms.filter(pk__in=parse_ids(identifier))
    term = wanted.first()
    if term is None:
        message = _("There is no term %(key)s.") % {"key": identifier}
        raise Refused([Refusal("term_not_found", message, _("Term not found"))])
    return term


def course_not_found(key: object) -> Refusal:
    message = _("There is no course %(key)s.") % {"key": key}
    return Refusal("course_not_found", message, _("Course not found"))


def _choose(key: CourseKey, offered: dict[str, Course]) -> Course | Refusal:
    """Pick the offering in the key's term; without a term the one without, else the only one."""
    if key.term in offered:
        return offered[key.term]
    if key.term or not offered:
        return course_not_found(key)
    if len(offered) == 1:
        return next(iter(offered.values()))
    message = _("%(code)s is offered in several terms (%(terms)s): name the term.") % {
        "code": key.code,
        "terms": ", ".join(sorted(offered)),
    }
    return Refusal("course_ambiguous", message, _("Which term?"), field="term")
