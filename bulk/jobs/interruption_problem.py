"""The problem that an import records when its process is interrupted."""

from typing import Any

from bulk.models import Import
from school.i18n.stored_messages import in_english
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal


def interruption_problem(job: Import, error: Exception | None = None) -> dict[str, Any]:
    """Return the problem of an import that was interrupted, by ``error`` or because its process has died."""
    parts = {"rows": job.applied_rows, "type": _error_name(error) if error else ""}
    with in_english():
        if error and parts["rows"]:
            message = _(
                "The import was interrupted by an error (%(type)s). %(rows)s rows were applied. Use undo to "
                "reverse them."
            )
        elif error:
            message = _("The import was interrupted by an error (%(type)s). Nothing was applied.")
        elif parts["rows"]:
            message = _("The import was interrupted. %(rows)s rows were applied. Use undo to reverse them.")
        else:
            message = _("The import was interrupted. Nothing was applied.")
    return Refusal("interrupted", message % parts).as_stored()


def _error_name(error: Exception) -> str:
    """
    Return the type of an error, and for an ``OSError`` the system's message.

    The text of other errors may quote rows.
    """
    name = type(error).__name__
    return f"{name}: {error.strerror}" if isinstance(error, OSError) and error.strerror else name
