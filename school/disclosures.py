"""
The record of access: who looked at, took out or erased personal data. Whoever hands data out writes it first.

The API's answers in JSON are not in it: which program may read what is said by its scopes, and each request by the log.
"""

from typing import Any

import structlog
from django.db import OperationalError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timezone import localdate

from school.logs import current_request_id
from school.models import PersonalDataAccess

Action = PersonalDataAccess.Action
Door = PersonalDataAccess.Door
Subject = PersonalDataAccess.Subject

logger = structlog.get_logger(__name__)


def record(action: Action, subject: Subject, door: Door, *, actor_id: int | None = None, **about: Any) -> None:
    """
    Add a line, in the transaction of the caller.

    ``about`` is ``student_id``, ``course_id`` or ``file_import_id``, or ``scope``; and ``reason``.
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
    """Add the line of who takes data out by a request, over the API or in the admin."""
    door = Door.API if request.path.startswith("/api/") else Door.ADMIN
    record(Action.EXPORTED, subject, door, actor_id=request.user.pk, **about)


def record_view(request: HttpRequest, student_id: int) -> None:
    """
    Add the line of who looks at a student's page: one for each user, student and day.

    Where the database cannot be written to, while an import has SQLite for example, the page is shown all the same, and
    the log has the line.
    """
    now = timezone.now()
    about = {"actor_id": request.user.pk, "student_id": student_id, "action": Action.VIEWED, "day": localdate(now)}
    try:
        if not PersonalDataAccess.objects.filter(**about).exists():
            line = PersonalDataAccess(
                **about, at=now, door=Door.ADMIN, subject=Subject.STUDENT, request_id=current_request_id()
            )
            PersonalDataAccess.objects.bulk_create([line], ignore_conflicts=True)
    except OperationalError:
        logger.warning("view_not_recorded", user_id=request.user.pk, student_id=student_id)
