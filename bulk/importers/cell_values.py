"""Converts the texts of cells to values of model fields."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from school.i18n.stored_messages import message_of
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

# The words for true and false in spreadsheets, in the languages that School supports.
TRUE_WORDS = ("true", "yes", "y", "1", "x", "wahr", "ja", "verdadero", "sí", "si")
FALSE_WORDS = ("false", "no", "n", "0", "falsch", "nein", "falso")
_DATETIME = re.compile(r"\d{4}-\d{1,2}-\d{1,2}[Tt ]\d{1,2}:\d{2}(:\d{2}([.,]\d{1,6})?)?[ ]?([Zz]|[+-]\d{2}(:?\d{2})?)?")
# Matches a whole number with decimals, as a spreadsheet may show it.
_INTEGER = re.compile(r"([+-]?[0-9]+)([.,]0{1,2})?")


def read_is_active(cells: dict[str, str], statuses: Mapping[str, bool]) -> list[Refusal]:
    """
    Set ``is_active`` from the columns ``is_active``, ``status`` and ``enabled_user``.

    The columns ``status`` and ``enabled_user`` are those of Canvas and OneRoster. An object is active unless a column
    says otherwise. Return errors for values that are not understood.
    """
    if "status" not in cells and "enabled_user" not in cells:
        return []
    flags, errors = [], []
    for name in ("is_active", "status", "enabled_user"):
        cell = cells.get(name, "")
        try:
            if cell and name == "status":
                flags.append(_parse_status(cell, statuses))
            elif cell:
                flags.append(_parse_boolean(cell))
        except ValidationError as error:
            errors += refusals_from(error, field=name)
    cells["is_active"] = str(all(flags)).lower() if flags else ""
    return errors


def _parse_status(status: str, statuses: Mapping[str, bool]) -> bool:
    if status.lower() not in statuses:
        message = _("%(status)s is not one of: %(choices)s.") % {"status": status, "choices": ", ".join(statuses)}
        raise ValidationError(message, code="invalid_choice")
    return statuses[status.lower()]


def parse_cell(field: Any, text: str) -> Any:
    """Return the value of a model's field for the text of a cell; raise ``ValidationError``."""
    if not text and field.null:
        return field.clean(None, None)
    if not text:
        return field.get_default() if field.has_default() else field.clean("", None)
    match field:
        case models.BooleanField():
            return _parse_boolean(text)
        case models.IntegerField():
            return field.clean(_parse_integer(text), None)
        case models.DateTimeField():
            return _parse_datetime(text, field.clean(text, None))
        case models.JSONField() | models.DecimalField():
            return field.parse_cell(text)  # type: ignore[union-attr]  # fields for lists and credits read their text
    if field.choices:
        text = next((value for value, _label in field.choices if value.casefold() == text.casefold()), text)
    return field.clean(text, None)


def _parse_boolean(text: str) -> bool:
    if text.lower() not in TRUE_WORDS + FALSE_WORDS:
        raise ValidationError(_("Write true or false."), code="invalid")
    return text.lower() in TRUE_WORDS


def _parse_integer(text: str) -> str:
    """Return the digits of a whole number. A number such as 1,000 is refused: it could mean one or a thousand."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        message = _("%(value)s is not a whole number. Write digits only, for example 1000.") % {"value": text}
        raise ValidationError(message, code="invalid")
    return match[1]


def _parse_datetime(text: str, value: datetime) -> datetime:
    """
    Return an aware datetime.

    A text without an offset is in ``TIME_ZONE``, where it must exist and be unambiguous. Python accepts texts that are
    not a day and a time: it reads a day alone as midnight, and 09.30 as 9 h and 0.3 s.
    """
    if not _DATETIME.fullmatch(text):
        message = _("Write the date and the time, as in %(example)s.") % {"example": "2026-08-01 09:00"}
        raise ValidationError(message, code="invalid")
    if not timezone.is_naive(value):
        return value
    first, second = (timezone.make_aware(value.replace(fold=fold)) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        exists = first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) == value
        message = (
            _("%(value)s occurs twice in %(zone)s, because clocks are set back. Add the UTC offset, as in %(example)s.")
            if exists
            else _(
                "%(value)s does not exist in %(zone)s, because clocks are set forward. Use another time, for "
                "example %(example)s."
            )
        )
        parts = {"value": value, "zone": timezone.get_default_timezone_name(), "example": first.isoformat(" ")}
        if not exists:
            parts["example"] = first.astimezone(UTC).astimezone(first.tzinfo).isoformat(" ")
        raise ValidationError(message % parts, code="ambiguous_timezone")
    return first


def refusals_from(error: ValidationError, field: str | None = None) -> list[Refusal]:
    """Return a refusal for each message of a ``ValidationError``."""
    named: list[tuple[str | None, ValidationError]]
    if hasattr(error, "error_dict"):
        named = [(name, each) for name, errors in error.error_dict.items() for each in errors]
    else:
        named = [(field, each) for each in error.error_list]
    return [
        Refusal(each.code or "invalid", message_of(each), field=None if name == "__all__" else name)
        for name, each in named
    ]
