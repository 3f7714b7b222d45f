"""Health endpoints for load balancers, process supervisors and monitoring."""

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string

from school.db.migration_check import is_migrated
from school.db.retry import RETRY_AFTER
from school.db.session_checks import session_fault
from school.observability.logging import bind_cause

OK = "ok"


def live(request: HttpRequest) -> JsonResponse:
    """Return 200. This check fails only if the process does not respond, which a restart would fix."""
    return JsonResponse({"status": OK})


def health(request: HttpRequest) -> JsonResponse:
    """Return 200 if the database answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return _respond({"status": "no database"}, is_healthy=False)
    return _respond({"status": OK}, is_healthy=True)


def ready(request: HttpRequest) -> JsonResponse:
    """
    Return 200 if the database takes writes, the options of the connection apply, all migrations are applied and each of
    ``READINESS_CHECKS`` is "ok", else 503.

    The body has the state of each.
    """
    states = dict.fromkeys(("database", "migrations", *settings.READINESS_CHECKS), "unknown")
    try:
        states["migrations"] = OK if is_migrated() else "unapplied"
        states["database"] = session_fault() or OK
        if states["migrations"] == OK:
            states |= {name: import_string(path)() for name, path in settings.READINESS_CHECKS.items()}
    except Error:
        states["database"] = "away"
    is_healthy = set(states.values()) == {OK}
    return _respond({"status": OK if is_healthy else "not ready", **states}, is_healthy=is_healthy)


def _respond(states: dict[str, str], *, is_healthy: bool) -> JsonResponse:
    response = JsonResponse(states, status=200 if is_healthy else 503)
    if not is_healthy:
        bind_cause(checks=states)
        response["Retry-After"] = str(RETRY_AFTER)
    return response
