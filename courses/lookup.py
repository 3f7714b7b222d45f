"""Finds courses, terms and grades by their ids and keys, and suggests similar keys for unknown ones."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from django.db.models import Q, QuerySet

from courses.models import Course, Grade, Term, format_key
from school.access.row_scope import RowScope, RowScopeParameters, filter_by_scope
from school.db.compiled_queries import PreparedQuery, QueryParameter, Statement, StatementCache, compile_statement
from school.i18n.stored_messages import translatable as _
from school.identifiers import identifier_fault, parse_ids, similar_identifiers
from school.refusals import Refusal, Refused, explain_identifier, suggest_key
from school.text_normalization import normalized

Offering = TypeVar("Offering")

MAX_QUERY_VALUES = 10_000  # the number of values in one query; SQLite allows about 30,000
MAX_KEY_LENGTH = 130  # the number of characters of a code, a term and their separator
MAX_NAMED_KEYS = 5  # the number of keys that the refusal of an ambiguous key names
_CODE_AND_TERM = re.compile(r"([^@/(]+?)(?:\s*[@/(]|\s)\s*([^\s@/()]+)\)?")


class CourseKey(NamedTuple):
    """
    A course's code, its term's code and its section.

    An empty term means no term, or else the only term in which the code is offered. An empty section means the section
    without a name, or else the only section.
    """

    code: str
    term: str = ""
    section: str = ""

    def __str__(self) -> str:
        return format_key(*self)


def courses_by_key(
    keys: Iterable[CourseKey], courses: QuerySet[Course] | None = None, max_suggestions: int | None = None
) -> dict[CourseKey, Course | Refusal]:
    """
    Find the courses of many keys in one query, among ``courses`` or all courses.

    A key that matches no course, or several, gets a refusal. For the first ``max_suggestions`` keys that match none
    (None: all of them), the refusal suggests a similar key among these courses.
    """
    keys = dict.fromkeys(keys)
    offerings = _load_offerings({key.code for key in keys}, courses)
    results = {key: select_offering(key, offerings[key.code]) for key in keys}
    missing = [key for key, each in results.items() if isinstance(each, Refusal) and each.code == "course_not_found"]
    return {**results, **_not_found_refusals(missing[:max_suggestions], courses)} if missing else results


COURSES_BY_CODE: PreparedQuery[Course] = PreparedQuery(
    lambda codes: Course.objects.filter(code__any_of=codes).select_related("term")
)
COURSES_BY_ID: PreparedQuery[Course] = PreparedQuery(
    lambda ids: Course.objects.filter(pk__any_of=ids).select_related("term")
)


def key_of(course: Course) -> CourseKey:
    """Return the key of a course. Its term must be loaded."""
    return CourseKey(course.code, course.term.code if course.term else "", course.section)


def _load_offerings(codes: Collection[str], courses: QuerySet[Course] | None) -> dict[str, dict[CourseKey, Course]]:
    """Return courses by their codes, and for each code by their keys."""
    offerings: dict[str, dict[CourseKey, Course]] = defaultdict(dict)
    all_codes = list(codes)
    for start in range(0, len(all_codes), MAX_QUERY_VALUES):
        batch = all_codes[start : start + MAX_QUERY_VALUES]
        matches = COURSES_BY_CODE(batch) if courses is None else courses.filter(code__in=batch).select_related("term")
        for course in matches:
            offerings[course.code][key_of(course)] = course
    return offerings


def _not_found_refusals(keys: Collection[CourseKey], courses: QuerySet[Course] | None) -> dict[CourseKey, Refusal]:
    """Return a refusal for each key; none of them matches a course."""
    possible_keys = {key: list(_possible_keys(key)) for key in keys}
    codes = {
        each.code
        for candidates in possible_keys.values()
        for candidate in candidates
        for each in _similar_codes(candidate)
    }
    offerings = _load_offerings(codes, courses)
    return {key: _not_found_refusal(key, _select_similar(possible_keys[key], offerings)) for key in keys}


def _possible_keys(key: CourseKey) -> Iterator[CourseKey]:
    """Yield the possible keys for a text that may contain both code and term, such as ``MATH-101 (2026F)``."""
    yield parse_course_key(str(key))
    if len(key.code) <= MAX_KEY_LENGTH and (match := _CODE_AND_TERM.fullmatch(key.code)):
        code, term = map(normalized, match.groups())
        if key.term in ("", term):
            yield CourseKey(code, term)


def _similar_codes(key: CourseKey) -> list[CourseKey]:
    return [key._replace(code=code) for code in (key.code, *similar_identifiers(key.code))]


def _select_similar(candidates: Iterable[CourseKey], offerings: dict[str, dict[CourseKey, Course]]) -> CourseKey | None:
    """
    Return the first course that one of these possible keys may mean.

    If the key has a term or a section, these must be similar, too.
    """
    for candidate in candidates:
        terms = [each for each in (candidate.term, *similar_identifiers(candidate.term)) if each]
        sections = [each for each in (candidate.section, *similar_identifiers(candidate.section)) if each]
        for code in (each.code for each in _similar_codes(candidate)):
            available = offerings.get(code, {})
            matches = [
                key
                for key in (CourseKey(code, term, section) for term in terms or [""] for section in sections or [""])
                if not isinstance(select_offering(key, available), Refusal)
            ]
            if matches or (available and not terms and not sections):
                return matches[0] if terms or sections else CourseKey(code)
    return None


def _not_found_refusal(key: CourseKey, similar: CourseKey | None) -> Refusal:
    """Return the refusal of a key that matches no course, with a suggestion of a similar key."""
    if similar and str(similar) == str(key):
        message = (
            _(
                "There is no course code:%(key)s. Give code, term and section separately: %(code)s, %(term)s and "
                "%(section)s."
            )
            if similar.section
            else _("There is no course code:%(key)s. Give the code and the term separately: %(code)s and %(term)s.")
        )
        return Refusal("course_not_found", message % {"key": key, **similar._asdict()}, _("Course not found"))
    suggested = f"code:{similar}" if similar else None
    refusal = explain_identifier(course_not_found(f"code:{key}"), parse_course_key(str(key)).code, suggested)
    if refusal.code == "course_not_found" and identifier_fault(term := key.term.replace("@", "")):
        return explain_identifier(course_not_found(f"code:{key}").with_field("term"), term, suggested)
    if refusal.code == "course_not_found" and identifier_fault(section := key.section.replace("@", "")):
        return explain_identifier(course_not_found(f"code:{key}").with_field("section"), section, suggested)
    return refusal


def parse_course_key(identifier: str) -> CourseKey:
    """Return the key in ``code:MATH-101``, ``code:MATH-101@2026F``, ``code:MATH-101@2026F@B``, ``code:MATH-101@@B``."""
    return CourseKey(*map(normalized, identifier.removeprefix("code:").split("@", 2)))


def has_key(text: str) -> Q:
    """Return the condition that a course has the parts of a key (``MATH-101@2026F@B``), in any case."""
    key = parse_course_key(text)
    parts = {"code": key.code, "term__code": key.term, "section": key.section}
    return Q(*((f"{name}__iexact", value) for name, value in parts.items() if value))


def find_course(identifier: str, courses: QuerySet[Course] | None = None) -> Course:
    """Return the course with an id, or with a key such as ``code:MATH-101@2026F``; raise ``Refused``."""
    if identifier.startswith("code:"):
        key = parse_course_key(identifier)
        result = courses_by_key([key], courses)[key]
        if isinstance(result, Refusal):
            raise Refused([result])
        return result
    ids = parse_ids(identifier)
    found_by_id = COURSES_BY_ID(ids) if courses is None else courses.select_related("term").filter(pk__in=ids)
    course = next(iter(found_by_id), None)
    if course is None:
        raise Refused([course_not_found(identifier, suggest_key(identifier, "code:"))])
    return course


def visible_course_id(course_id: int, row_scope: RowScope) -> int:
    """Return the id of a course that lies within the scope; raise ``Refused`` for any other course."""
    statement = _statements.get("visible", _compile_visible)
    if not statement.run({"id": course_id, **RowScopeParameters.values_of(row_scope)}):
        raise Refused([course_not_found(course_id, suggest_key(str(course_id), "code:"))])
    return course_id


_statements = StatementCache()


def _compile_visible() -> Statement:
    return compile_statement(
        filter_by_scope(Course.objects.filter(pk=QueryParameter("id")), RowScopeParameters).values_list("pk")
    )


def find_term(identifier: str, terms: QuerySet[Term] | None = None) -> Term:
    """Return the term with an id or with ``code:2026F``, among ``terms`` or all terms; raise ``Refused``."""
    terms = Term.objects.all() if terms is None else terms
    is_code = identifier.startswith("code:")
    code = normalized(identifier.removeprefix("code:"))
    term = (terms.filter(code=code) if is_code else terms.filter(pk__in=parse_ids(identifier))).first()
    if term is None:
        raise Refused([term_not_found(identifier, terms)])
    return term


def term_not_found(key: str, terms: QuerySet[Term] | Mapping[str, Term]) -> Refusal:
    """
    Return the refusal of an id or ``code:2026F`` that matches no term; it suggests a similar one of ``terms``, a query
    or a mapping of codes to terms.
    """
    message = _("There is no term %(key)s.") % {"key": key} + suggest_key(key, "code:")
    refusal = Refusal("term_not_found", message, _("Term not found"))
    if not key.startswith("code:"):
        return refusal
    code = key.removeprefix("code:")
    likely = similar_identifiers(code)
    known = {*terms.filter(code__in=likely).values_list("code", flat=True)} if isinstance(terms, QuerySet) else {*terms}
    similar = next((each for each in likely if each in known), None)
    return explain_identifier(refusal, code, similar and f"code:{similar}")


def find_grade(identifier: str, grades: QuerySet[Grade]) -> Grade:
    """Return the grade with an id or with ``code:B+``; raise ``Refused``."""
    is_code = identifier.startswith("code:")
    code = normalized(identifier.removeprefix("code:"))
    grade = (grades.filter(code=code) if is_code else grades.filter(pk__in=parse_ids(identifier))).first()
    if grade is None:
        message = _("There is no grade %(key)s.") % {"key": identifier} + suggest_key(identifier, "code:")
        raise Refused([Refusal("grade_not_found", message, _("Grade not found"))])
    return grade


def course_not_found(key: object, hint: str = "") -> Refusal:
    """
    Return the refusal of an id or a key (``code:MATH-101@2026F``) that matches no course.

    ``hint`` is appended to the message.
    """
    message = _("There is no course %(key)s.") % {"key": key} + hint
    return Refusal("course_not_found", message, _("Course not found"))


def select_offering(key: CourseKey, offerings: Mapping[CourseKey, Offering]) -> Offering | Refusal:
    """
    Return the offering that the key means, among all offerings of its code.

    A key without a term means the offerings without a term, else those of the only term. Among these, a key without a
    section means the offering without a section, else the only one. If none or several match, return a refusal.
    """
    if key in offerings:
        return offerings[key]
    terms = {each.term for each in offerings if key.section in ("", each.section)}
    term = key.term or ("" if "" in terms or len(terms) != 1 else next(iter(terms)))
    matches = [each for each in offerings if each.term == term and key.section in ("", each.section)]
    exact = next((each for each in matches if each.section == key.section), None)
    if exact or len(matches) == 1:
        return offerings[exact or matches[0]]
    if matches:
        message = _("%(code)s has several sections (%(keys)s). Add the section.")
        return _ambiguous(message % {"code": key, "keys": _list_keys(matches)}, "section")
    if key.term or not terms:
        return course_not_found(f"code:{key}")
    message = _("%(code)s is offered in several terms (%(terms)s). Add the term.")
    return _ambiguous(message % {"code": key.code, "terms": ", ".join(sorted(terms)[:MAX_NAMED_KEYS])}, "term")


def _list_keys(keys: Iterable[CourseKey]) -> str:
    return ", ".join(map(str, sorted(keys)[:MAX_NAMED_KEYS]))


def _ambiguous(message: str, field: str) -> Refusal:
    title = _("Term is ambiguous") if field == "term" else _("Section is ambiguous")
    return Refusal("course_ambiguous", message, title, field=field)
