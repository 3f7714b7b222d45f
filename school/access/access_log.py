"""
The record of access: which users and clients viewed, exported or erased personal data.

Code that discloses personal data must add an entry first. JSON responses of the API have no entry: the scopes of a
client determine which data it reads, and the application log has each request.
"""

from typing import Any

import structlog
from django.db import OperationalError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timezone import localdate

from school.models import PersonalDataAccess
from school.observability.logging import current_request_id

Action = PersonalDataAccess.Action
Door = PersonalDataAccess.Door
Subject = PersonalDataAccess.Subject

logger = structlog.get_logger(__name__)


def record(action: Action, subject: Subject, door: Door, *, actor_id: int | None = None, **about: Any) -> None:
    """
    Add an entry, in the transaction of the caller.

    ``about`` has exactly one of the fields ``student_id``, ``course_id``, ``file_import_id`` and ``scope``, and
    optionally ``reason``.
    """
    PersonalDataAccess.objects.create(
        at=timezone.now(),
        actor_id=actor_id,
        door=door,
        action=action,
        subject=subject,
        request_id=current_request_id(),
        **about,
    )


def record_export(request: HttpRequest, subject: Subject, **about: Any) -> None:
    """Add an entry for an export by the request's user, over the API or in the admin."""
    door = Door.API if request.path.startswith("/api/") else Door.ADMIN
    record(Action.EXPORTED, subject, door, actor_id=request.user.pk, **about)


def record_view(request: HttpRequest, student_id: int) -> None:
    """
    Add an entry for a view of a student's page: one for each user, student and day (in ``TIME_ZONE``).

    If the database cannot be written to, for example while an import locks SQLite, the page is shown anyway, and a
    warning is logged instead.
    """
    now = timezone.now()
    about = {"actor_id": request.user.pk, "student_id": student_id, "action": Action.VIEWED, "day": localdate(now)}
    try:
        if not PersonalDataAccess.objects.filter(**about).exists():
            entry = PersonalDataAccess(
                **about, at=now, door=Door.ADMIN, subject=Subject.STUDENT, request_id=current_request_id()
            )
            PersonalDataAccess.objects.bulk_create([entry], ignore_conflicts=True)
    except OperationalError:
        logger.warning("view_not_recorded", user_id=request.user.pk, student_id=student_id)
