"""Middleware that gives every error under ``/ims/`` the form of the standard."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

PREFIX = "/ims/"
CODES = {
    401: "unauthorisedrequest",
    403: "forbidden",
    404: "unknownobject",
    429: "server_busy",
    503: "server_busy",
}
FILTER_CODES = ("invalid_filter_field", "invalid_selection_field")


class StandardErrorsMiddleware:
    """
    Rewrites errors, whatever part of School returns them: unknown paths and methods, limits, and failures.

    A problem's detail becomes the description.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        if response.status_code < 400 or not request.path_info.startswith(PREFIX):
            return response
        assert isinstance(response, HttpResponse)
        standard = JsonResponse(status_info(response), status=response.status_code)
        for name, value in response.items():
            if name.lower() not in ("content-type", "content-length"):
                standard[name] = value
        return standard


def status_info(response: HttpResponse) -> dict[str, Any]:
    """Return the standard's description of an error."""
    problem: dict[str, Any] = {}
    if response.get("Content-Type", "").startswith("application/problem+json"):
        problem = json.loads(response.content)
    code = problem.get("code", "")
    if code not in FILTER_CODES:
        code = CODES.get(response.status_code)
        if code is None:
            code = "internal_server_error" if response.status_code >= 500 else "invaliddata"
    return {
        "imsx_codeMajor": "failure",
        "imsx_severity": "error",
        "imsx_description": problem.get("detail") or response.reason_phrase,
        "imsx_CodeMinor": {
            "imsx_codeMinorField": [{"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": code}]
        },
    }
