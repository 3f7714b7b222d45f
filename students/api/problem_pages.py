"""
HTML pages that explain the error codes of the API and of the rules.

The ``type`` of a problem is the URL of such a page.
"""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from school.api.error_codes import CODES
from students.enrollment.rules import ALL_RULES


def code_descriptions() -> dict[str, str]:
    """Return the explanation of each code of the API and of the rules."""
    descriptions = {code: str(text) for code, text in CODES.items()}
    for rule in ALL_RULES:
        descriptions[rule.code] = (
            f"{descriptions[rule.code]} {rule.explanation}" if rule.code in descriptions else rule.explanation
        )
    return descriptions


def add_codes(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the problem codes to the OpenAPI document as an enumeration (a postprocessing hook of drf-spectacular)."""
    schemas = result["components"]["schemas"]
    schemas["ProblemCode"] = {"type": "string", "enum": sorted(code_descriptions())}
    for name in ("Problem", "BatchProblem"):
        code = schemas[name]["properties"]["code"]
        schemas[name]["properties"]["code"] = {"$ref": "#/components/schemas/ProblemCode", **code}
        del schemas[name]["properties"]["code"]["type"]
    return result


def problem_index(request: HttpRequest) -> HttpResponse:
    """Return a page with a link to the page of each code."""
    return render(request, "students/problems.html", {"descriptions": sorted(code_descriptions().items())})


def problem_page(request: HttpRequest, code: str) -> HttpResponse:
    """Return the page that explains a code; raise ``Http404`` for an unknown code."""
    description = code_descriptions().get(code)
    if description is None:
        raise Http404
    rules = [rule for rule in ALL_RULES if rule.code == code]
    title = rules[0].title if rules else ""
    waivable = any(rule.waivable for rule in rules)
    context = {"code": code, "description": description, "title": title, "is_rule": bool(rules), "waivable": waivable}
    return render(request, "students/problem.html", context)
