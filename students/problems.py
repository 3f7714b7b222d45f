"""A page about each code that a problem's ``type`` leads to, made from the rules themselves."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from school.api.codes import CODES
from students.rules import ALL_RULES


def meanings() -> dict[str, str]:
    """Return what every code means, those of the API and those of the rules."""
    return {**{code: str(text) for code, text in CODES.items()}, **{r.code: r.explanation for r in ALL_RULES}}


def problem_page(request: HttpRequest, code: str) -> HttpResponse:
    """Explain a code to the person who has to deal with it."""
    meaning = meanings().get(code)
    if meaning is None:
        raise Http404
    return render(request, "students/problem.html", {"code": code, "meaning": meaning})
