"""The search of the command palette: students, courses and enrollments."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.dataclasses import SearchResult

from courses.models import Course
from school.http.search_limits import truncate_search
from students.models import Student, StudentCourse

PERSON = ("student_number", "given_name", "family_name", "email")
MOST = 8  # results of each kind
MOST_STUDENTS, MOST_COURSES = 50, 200  # students and courses whose enrollments are searched
FEW, WORDS_LOOKED_UP = 1_000, 3


def found(request: HttpRequest, words: str) -> list[SearchResult]:
    """Return the results for all words that the user may see. An exact student number or course code comes first."""
    parts = truncate_search(words).split()
    if not parts:
        return []
    results = [
        *(_result(student, _("Student"), "person") for student in _students(request, parts)[:MOST]),
        *(_result(course, _("Course"), "menu_book") for course in _courses(request, parts)[:MOST]),
    ]
    for enrollment in _enrollments(request, parts)[:MOST]:
        told = _("Enrollment, %(status)s") % {"status": enrollment.get_status_display()}
        results.append(_result(enrollment, told, "how_to_reg"))
    return results


def _result(found: Model, told: str, icon: str) -> SearchResult:
    address = f"admin:{found._meta.label_lower.replace('.', '_')}_change"
    return SearchResult(title=str(found), description=told, link=reverse(address, args=[found.pk]), icon=icon)


def seen(request: HttpRequest, model: type[Model]) -> Any:
    """Return the rows that the user may see in the admin list of the model."""
    desk = admin.site.get_model_admin(model)
    if not desk.has_view_or_change_permission(request):
        return model._default_manager.none()
    return desk.get_queryset(request)


def containing(parts: list[str], *columns: str) -> Q:
    """Return the condition that one of the columns contains each word. PostgreSQL uses its trigram indexes for it."""
    wanted = Q()
    for part in parts:
        either = Q()
        for column in columns:
            either |= Q(**{f"{column}__icontains": part})
        wanted &= either
    return wanted


def few(rows: QuerySet[Any], number: int = 0) -> Any:
    """
    Return the rows as a value for an ``__in`` filter: at most ``FEW`` ids, which can use an index, else a subquery.

    ``number`` is the index of the search word, from 0. Only the first ``WORDS_LOOKED_UP`` words are looked up as ids.
    """
    wanted = rows.order_by().values("pk")
    if number >= WORDS_LOOKED_UP:
        return wanted
    ids = list(rows.order_by().values_list("pk", flat=True)[: FEW + 1])
    return ids if len(ids) <= FEW else wanted


def _students(request: HttpRequest, parts: list[str], most: int = MOST) -> list[Student]:
    rows = seen(request, Student)
    exact = list(rows.filter(student_number=" ".join(parts))) if len(parts) == 1 else []
    # Without an order: any matches are enough, and sorting would read all of them.
    others = list(rows.filter(containing(parts, *PERSON)).order_by()[:most])
    return _first(exact, others, key=lambda student: (student.family_name, student.given_name, student.pk))


def _courses(request: HttpRequest, parts: list[str], most: int = MOST) -> list[Course]:
    rows = seen(request, Course).select_related("term").order_by("-term__starts_on", "code")
    exact = list(rows.filter(code__iexact=" ".join(parts))[:most]) if len(parts) == 1 else []
    return _first(exact, list(rows.filter(containing(parts, "code", "name"))[:most]))


def _first(exact: list[Any], others: list[Any], key: Any = None) -> list[Any]:
    rest = [each for each in others if each not in exact]
    return [*exact, *(sorted(rest, key=key) if key else rest)]


def _enrollments(request: HttpRequest, parts: list[str]) -> list[StudentCourse]:
    """
    Return enrollments whose student matches some of the words and whose course matches the others.

    If exactly one student matches all words, return the open enrollments of that student.
    """
    rows = seen(request, StudentCourse).select_related("student", "course__term").order_by("-pk")
    whole = _students(request, parts)
    if len(whole) == 1:
        return list(rows.open().filter(student=whole[0])[:MOST])
    found: list[StudentCourse] = []
    for who, what in _divided(parts):
        students = [student.pk for student in _students(request, who, MOST_STUDENTS)]
        courses = [course.pk for course in _courses(request, what, MOST_COURSES)] if students else []
        if courses:
            found += rows.filter(student__in=students, course__in=courses)[:MOST]
    return found


def _divided(parts: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the ways to split the words into a student and a course: ``ada byron math``, ``math-101 s-1042``."""
    for place in range(1, min(len(parts), 4)):
        yield parts[:place], parts[place:]
        yield parts[place:], parts[:place]
