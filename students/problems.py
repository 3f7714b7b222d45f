"""A page about each code that a problem's ``type`` leads to, made from the rules themselves."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from school.api.codes import CODES
from students.rules import ALL_RULES


def meanings() -> dict[str, str]:
    """Return what every code means, those of the API and those of the rules."""
    found = {code: str(text) for code, text in CODES.items()}
    for rule in ALL_RULES:
        found[rule.code] = f"{found[rule.code]} {rule.explanation}" if rule.code in found else rule.explanation
    return found


def problem_page(request: HttpRequest, code: str) -> HttpResponse:
    """Explain a code to the person who has to deal with it."""
    meaning = meanings().get(code)
    if meaning is None:
        raise Http404
    rules = [rule for rule in ALL_RULES if rule.code == code]
    title = rules[0].title if rules else ""
    waivable = any(rule.waivable for rule in rules)
    context = {"code": code, "meaning": meaning, "title": title, "is_rule": bool(rules), "waivable": waivable}
    return render(request, "students/problem.html", context)
