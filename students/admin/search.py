"""The search of the command palette: students, courses and enrollments."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Case, CharField, Model, Q, QuerySet, Value, When
from django.db.models.functions import Concat
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.dataclasses import SearchResult

from courses.lookup import has_key
from courses.models import Course
from school.http.search_limits import truncate_search
from students.models import Student, StudentCourse

STUDENT_FIELDS = ("student_number", "given_name", "family_name", "email")
MAX_RESULTS = 8  # results of each kind
MAX_STUDENTS, MAX_COURSES = 50, 200  # students and courses whose enrollments are searched
MAX_IDS, MAX_ID_WORDS = 1_000, 3


def search(request: HttpRequest, text: str) -> list[SearchResult]:
    """Return the rows that match all words and that the user may see, the best matches first."""
    words = truncate_search(text).split()
    if not words:
        return []
    students = _students(request, words)
    results = [
        *(_result(student, _("Student"), "person") for student in students),
        *(_result(course, _("Course"), "menu_book") for course in _courses(request, words)),
    ]
    for enrollment in _enrollments(request, words, students)[:MAX_RESULTS]:
        description = _("Enrollment, %(status)s") % {"status": enrollment.get_status_display()}
        results.append(_result(enrollment, description, "how_to_reg"))
    return results


def _result(row: Model, description: str, icon: str) -> SearchResult:
    url_name = f"admin:{row._meta.label_lower.replace('.', '_')}_change"
    return SearchResult(title=str(row), description=description, link=reverse(url_name, args=[row.pk]), icon=icon)


def visible_rows(request: HttpRequest, model: type[Model]) -> Any:
    """Return the rows that the user may see in the admin list of the model."""
    model_admin = admin.site.get_model_admin(model)
    if not model_admin.has_view_or_change_permission(request):
        return model._default_manager.none()
    return model_admin.get_queryset(request)


def match_all_words(words: list[str], *columns: str) -> Q:
    """Return the condition that one of the columns contains each word. PostgreSQL uses its trigram indexes for it."""
    condition = Q()
    for word in words:
        any_column = Q()
        for column in columns:
            any_column |= Q(**{f"{column}__icontains": word})
        condition &= any_column
    return condition


def ids_or_subquery(rows: QuerySet[Any], word_index: int = 0) -> Any:
    """
    Return the rows as a value for an ``__in`` filter: at most ``MAX_IDS`` ids, which can use an index, else a subquery.

    ``word_index`` is the index of the search word, from 0. Only the first ``MAX_ID_WORDS`` words are looked up as ids.
    """
    subquery = rows.order_by().values("pk")
    if word_index >= MAX_ID_WORDS:
        return subquery
    ids = list(rows.order_by().values_list("pk", flat=True)[: MAX_IDS + 1])
    return ids if len(ids) <= MAX_IDS else subquery


def _students(request: HttpRequest, words: list[str], limit: int = MAX_RESULTS) -> list[Student]:
    """
    Return students that match all words: a complete number, then names that are a word or begin with one, then others.

    Family names come before given names.
    """
    rows = visible_rows(request, Student)
    found = list(rows.filter(student_number=" ".join(words))) if len(words) == 1 else []
    matches = rows.filter(match_all_words(words, *STUDENT_FIELDS)).order_by()
    names = ("family_name", "given_name")
    begins = Q(*(_any_word(words, f"{name}__istartswith") for name in names), _connector=Q.OR)
    lookups = [f"{name}__{lookup}" for name in names for lookup in ("iexact", "istartswith")]
    rank = Case(*(When(_any_word(words, lookup), then=place) for place, lookup in enumerate(lookups)))
    found += matches.filter(begins).order_by(rank, "family_name", "given_name", "pk")[:limit]
    if len(found) < limit:
        # Without an order: any matches are enough, and sorting would read all of them.
        others = matches.exclude(begins)[:limit]
        found += sorted(others, key=lambda student: (student.family_name, student.given_name, student.pk))
    return list(dict.fromkeys(found))[:limit]


def _any_word(words: list[str], lookup: str) -> Q:
    return Q(*((lookup, word) for word in words), _connector=Q.OR)


def _courses(request: HttpRequest, words: list[str], limit: int = MAX_RESULTS) -> list[Course]:
    """Return courses that match all words: first a complete code, then codes and words of names that begin so."""
    text = " ".join(words)
    rank = Case(
        When(code__iexact=text, then=0),
        When(Q(code__istartswith=text) | Q(words_of_name__icontains=f" {text}"), then=1),
        default=2,
    )
    matches = has_key(text) if "@" in text else match_all_words(words, "code", "name")
    rows = visible_rows(request, Course).select_related("term").filter(matches)
    rows = rows.alias(words_of_name=Concat(Value(" "), "name", output_field=CharField()))
    return list(rows.order_by(rank, "-term__starts_on", "code")[:limit])


def _enrollments(request: HttpRequest, words: list[str], students: list[Student]) -> list[StudentCourse]:
    """
    Return enrollments whose student matches some of the words and whose course matches the others.

    If exactly one student matches all words, return the open enrollments of that student.
    """
    rows = visible_rows(request, StudentCourse).select_related("student", "course__term").order_by("-pk")
    if len(students) == 1:
        return list(rows.open().filter(student=students[0])[:MAX_RESULTS])
    enrollments: list[StudentCourse] = []
    for student_words, course_words in _word_splits(words):
        student_ids = [student.pk for student in _students(request, student_words, MAX_STUDENTS)]
        course_ids = [course.pk for course in _courses(request, course_words, MAX_COURSES)] if student_ids else []
        if course_ids:
            enrollments += rows.filter(student__in=student_ids, course__in=course_ids)[:MAX_RESULTS]
    return enrollments


def _word_splits(words: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the ways to split the words into a student and a course: ``ada byron math``, ``math-101 s-1042``."""
    for index in range(1, min(len(words), 4)):
        yield words[:index], words[index:]
        yield words[index:], words[:index]
