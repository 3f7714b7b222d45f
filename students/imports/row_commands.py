"""Parses a row of an enrollment file into the change that it requests."""

from collections.abc import Sequence
from typing import NamedTuple

from django.core.exceptions import ValidationError

from bulk.importers.cell_values import refusals_from
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from school.validators import plain_text
from students.enrollment.commands import OnFull
from students.enrollment.rules import validate_waiver
from students.models import Action, Status

# The values of the status column. Canvas and OneRoster use active and deleted.
STATUS_TO_ACTION = {
    "": Action.ENROLL,
    "enrolled": Action.ENROLL,
    "active": Action.ENROLL,
    "waitlisted": Action.ENROLL,
    "dropped": Action.DROP,
    "withdrawn": Action.DROP,
    "deleted": Action.DROP,
    "tobedeleted": Action.DROP,
    "completed": Action.COMPLETE,
    "concluded": Action.COMPLETE,
}


class RowCommand(NamedTuple):
    """
    The change that a row requests, without the student and the course.

    If ``on_full`` is None, the option of the import applies.
    """

    action: Action | None
    grade: str | None
    reason: str
    on_full: OnFull | None
    waived_codes: frozenset[str]
    errors: Sequence[Refusal]


def parse_row_command(status: str, grade: str, reason: str, waive: str, instead_of: str) -> RowCommand:
    """Parse the cells of a row that define the change. The second value has a refusal for each invalid cell."""
    errors: list[Refusal] = []
    status = status.lower()
    action = STATUS_TO_ACTION.get(status)
    if action is None:
        choices = ", ".join([Status.ENROLLED, Status.WAITLISTED, Status.DROPPED, Status.COMPLETED])
        message = _("%(status)s is not one of: %(choices)s.") % {"status": status, "choices": choices}
        errors.append(Refusal("invalid_choice", message, field="status"))
    waived_codes = frozenset(waive.split())
    if waived_codes:  # the rules check later whether the sender may waive rules
        errors += validate_waiver(waived_codes, reason, may_waive=True)
    if grade and action not in (None, Action.COMPLETE):
        errors.append(Refusal("invalid", _("Only a completed enrollment has a grade."), field="grade"))
    if instead_of and action not in (None, Action.ENROLL):
        message = _("Only a student who is enrolled can take the course instead of another one.")
        errors.append(Refusal("invalid", message, field="instead_of"))
    for name, value, max_length in (("grade", grade, 32), ("reason", reason, 1000)):
        if len(value) > max_length:
            message = _("The value has more than %(most)s characters.") % {"most": max_length}
            errors.append(Refusal("max_length", message, field=name))
        try:
            plain_text(value)
        except ValidationError as error:
            errors += refusals_from(error, field=name)
    return RowCommand(
        action, grade or None, reason, OnFull.WAITLIST if status == Status.WAITLISTED else None, waived_codes, errors
    )
