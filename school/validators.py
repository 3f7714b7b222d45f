"""What identifiers that people give may look like."""

import unicodedata
from datetime import date

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

INVISIBLE = "".join(
    chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zs", "Zl", "Zp")
)


def is_plain(text: str) -> bool:
    """Tell whether a text has no control characters: no line breaks, no tabs, no NUL."""
    return not any(unicodedata.category(character) == "Cc" for character in text)


def identifier(text: str) -> None:
    """
    Raise ``ValidationError`` for what cannot be a student number or a code.

    "@" parts a course's code from its term in addresses, "/" parts the address itself; files lose what is invisible
    at the ends.
    """
    if text.strip(INVISIBLE) != text or not is_plain(text) or "/" in text or "@" in text:
        message = _("Use no slash, no @, no control characters, and nothing invisible at the ends.")
        raise ValidationError(message, code="invalid_identifier")


def plain_text(text: str) -> None:
    """Raise ``ValidationError`` for a text with control characters: it would not survive a file."""
    if not is_plain(text):
        raise ValidationError(_("Use no control characters."), code="control_characters")


def in_our_times(moment: date) -> None:
    """Raise ``ValidationError`` for a day or an instant that not every database and time zone can hold."""
    if not 1900 <= moment.year <= 9000:
        raise ValidationError(_("Use a year from 1900 to 9000."), code="year_out_of_range")


BIGGEST_ID = 2**63 - 1
BIGGEST_COUNT = 2**31 - 1  # what both databases store as an integer


def parse_ids(text: str) -> list[int]:
    """Return the one database id that `text` spells, or none where it cannot be an id."""
    is_id = text.isascii() and text.isdecimal() and len(text) <= 19 and 0 < int(text) <= BIGGEST_ID
    return [int(text)] if is_id else []
