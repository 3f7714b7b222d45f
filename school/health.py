"""Whether School can do its work: for load balancers, for who restarts processes, and for who is called at night."""

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from bulk.pulse import workers
from school.api.problems import RETRY_AFTER

OK = "ok"


def live(request: HttpRequest) -> JsonResponse:
    """Answer 200: the process answers. It asks for nothing that a restart would not mend."""
    return JsonResponse({"status": OK})


def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return _answer({"status": "no database"}, is_well=False)
    return _answer({"status": OK}, is_well=True)


def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers and is migrated and a worker lives, else 503; and how each of them is."""
    found = dict.fromkeys(("database", "migrations", "worker"), "unknown")
    try:
        found["migrations"] = OK if _is_migrated() else "unapplied"
        found["database"] = OK
        if found["migrations"] == OK:
            found["worker"] = OK if workers() else "none"
    except Error:
        found["database"] = "away"
    is_well = set(found.values()) == {OK}
    return _answer({"status": OK if is_well else "not ready", **found}, is_well=is_well)


def _is_migrated() -> bool:
    """Tell whether every migration of this code is applied. What has been so stays so as long as the code runs."""
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _migrated.append(settings.DATABASES["default"]["NAME"])
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return True


_migrated: list[object] = []


def _answer(body: dict[str, str], *, is_well: bool) -> JsonResponse:
    answer = JsonResponse(body, status=200 if is_well else 503)
    if not is_well:
        answer["Retry-After"] = str(RETRY_AFTER)
    return answer
