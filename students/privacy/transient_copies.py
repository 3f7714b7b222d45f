"""
Deletes the copies of a student's data in sessions, in the log of the admin and in stored responses.

These copies are useful for a short time only. A copy is deleted if it contains a number or an email of the person.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db.models import CharField, JSONField, TextField

from bulk.personal_data.identifiers import Identifiers
from bulk.personal_data.search import as_text
from school.models import CachedValue, KeptAnswer
from students.models.student import ERASED

TEXT_FIELDS = (CharField, TextField, JSONField)
LOGIN_KEYS = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)  # the keys of a session that the login needs


def delete_copies(identifiers: Identifiers, pseudonym: str) -> None:
    """
    Delete the copies that identify a person, in the caller's transaction.

    Entries of the admin's log stay, with the pseudonym. A change reason in a history that names the person is emptied,
    except the one of erasures, which the change feed needs.
    """
    short_lived: tuple[Any, ...] = (
        KeptAnswer.objects.all(),
        CachedValue.objects.all(),
        AccessAttempt.objects.all(),
        AccessFailureLog.objects.all(),
    )
    for rows in short_lived:
        rows.model._default_manager.filter(pk__in=list(_identifying_ids(rows, identifiers))).delete()
    store: Any = Session.get_session_store_class()
    for session in Session.objects.iterator(chunk_size=500):
        content = session.get_decoded()
        if remove_identifying_values(content, identifiers):
            session.session_data = store().encode(content)
            session.save(update_fields=["session_data"])
    for entry in LogEntry.objects.only("object_repr", "change_message").iterator(chunk_size=2_000):
        if identifiers.find_identifier(f"{entry.object_repr} {entry.change_message}"):
            message = "" if identifiers.find_identifier(entry.change_message) else entry.change_message
            LogEntry.objects.filter(pk=entry.pk).update(object_repr=pseudonym, change_message=message)
    for versions in histories():
        reasons = versions.order_by().values_list("history_change_reason", flat=True).distinct()
        named = [reason for reason in reasons if reason not in (None, "", ERASED) and identifiers.find_mention(reason)]
        versions.filter(history_change_reason__in=named).update(history_change_reason="")


def remove_identifying_values(content: MutableMapping[str, Any], identifiers: Identifiers) -> bool:
    """Delete the session values that name a person; the user stays logged in. Return True if there were any."""
    named = [
        name for name, value in content.items() if name not in LOGIN_KEYS and identifiers.find_mention(_text(value))
    ]
    for name in named:
        del content[name]
    return bool(named)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else as_text(value)


def _identifying_ids(rows: Any, identifiers: Identifiers) -> Iterator[Any]:
    """Yield the primary keys of the rows that contain a number or an email of the person in a text field."""
    names = [field.name for field in rows.model._meta.concrete_fields if isinstance(field, TEXT_FIELDS)]
    for pk, *values in rows.order_by("pk").values_list("pk", *names).iterator(chunk_size=500):
        if identifiers.find_identifier(" ".join(map(_text, values))):
            yield pk


def histories() -> Iterator[Any]:
    """Yield all rows of each history: of students, courses and terms."""
    fields = {model: {field.name for field in model._meta.concrete_fields} for model in apps.get_models()}
    yield from (model._default_manager.all() for model, names in fields.items() if "history_change_reason" in names)
