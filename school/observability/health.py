"""Health endpoints for load balancers, process supervisors and monitoring."""

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string

from school.db.migrated import is_migrated
from school.db.retry import RETRY_AFTER
from school.observability.logging import note_cause

OK = "ok"


def live(request: HttpRequest) -> JsonResponse:
    """Return 200 as long as the process responds. Only a problem that a restart fixes can make this check fail."""
    return JsonResponse({"status": OK})


def health(request: HttpRequest) -> JsonResponse:
    """Return 200 if the database answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return _answer({"status": "no database"}, is_well=False)
    return _answer({"status": OK}, is_well=True)


def ready(request: HttpRequest) -> JsonResponse:
    """
    Return 200 if the database answers, all migrations are applied and each of ``READINESS_CHECKS`` is "ok", else 503.

    The body has the state of each.
    """
    found = dict.fromkeys(("database", "migrations", *settings.READINESS_CHECKS), "unknown")
    try:
        found["migrations"] = OK if is_migrated() else "unapplied"
        found["database"] = OK
        if found["migrations"] == OK:
            found |= {name: import_string(path)() for name, path in settings.READINESS_CHECKS.items()}
    except Error:
        found["database"] = "away"
    is_well = set(found.values()) == {OK}
    return _answer({"status": OK if is_well else "not ready", **found}, is_well=is_well)


def _answer(body: dict[str, str], *, is_well: bool) -> JsonResponse:
    answer = JsonResponse(body, status=200 if is_well else 503)
    if not is_well:
        note_cause(checks=body)
        answer["Retry-After"] = str(RETRY_AFTER)
    return answer
