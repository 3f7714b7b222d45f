"""
Parses dates, instants and whole numbers, of which bodies and queries accept only one format.

The parsers of the libraries accept more: an instant without an offset, which is a different instant in each time zone;
an instant in place of a date; a date with day and month in the order of another country; digits of other scripts. Each
function of this module accepts the documented format and raises ``ValidationError`` with a code for everything else.
"""

import re
from datetime import UTC, date, datetime

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

_DAY_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
INSTANT_PATTERN = f"{_DAY_PATTERN[:-1]}T{_TIME}(:[0-5][0-9]([.][0-9]{{1,6}})?)?(Z|[+-]{_TIME})$"
_WHOLE_NUMBER_PATTERN = "^(0|-?[1-9][0-9]*)$"
MAX_DIGITS = 19  # the number of digits of the largest whole number that is accepted

_DAY = re.compile(_DAY_PATTERN[:-1])
_INSTANT = re.compile(INSTANT_PATTERN[:-1])
_WITHOUT_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?")
_LOST_PLUS = re.compile(r".*[0-9] [0-9]{2}:?[0-9]{2}")
_WHOLE_NUMBER = re.compile(_WHOLE_NUMBER_PATTERN[:-1])

INVALID_DAY = _("Write the date as YYYY-MM-DD, for example 2026-10-01.")
INVALID_INSTANT = _(
    "Write the date and time with its UTC offset, for example 2026-08-01T09:00:00Z or 2026-08-01T09:00:00+02:00."
)
NAIVE_INSTANT = _("The date and time has no UTC offset. Add Z for UTC or an offset, as in 2026-08-01T09:00:00+02:00.")
LOST_PLUS = _("A plus sign in a query means a space. Percent-encode it, or write the date and time in UTC with Z.")
INVALID_WHOLE_NUMBER = _("Write a whole number with the digits 0 to 9, without spaces, a plus sign or leading zeros.")


def parse_day(text: str) -> date:
    """Return the date in a text of the form ``YYYY-MM-DD``; raise ``ValidationError``."""
    if _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ValidationError(INVALID_DAY, code="invalid")


def parse_instant(text: str) -> datetime:
    """
    Return the instant, in UTC, of an ISO 8601 text with an offset; raise ``ValidationError``.

    The format is that of RFC 3339 in upper case. Seconds may be left out, and a fraction has at most six digits.
    """
    if _WITHOUT_OFFSET.fullmatch(text):
        raise ValidationError(NAIVE_INSTANT, code="naive_instant")
    if not _INSTANT.fullmatch(text):
        raise ValidationError(LOST_PLUS if _LOST_PLUS.fullmatch(text) else INVALID_INSTANT, code="invalid")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValidationError(_("Use a year from 1900 to 9000."), code="year_out_of_range") from None
    except ValueError:
        raise ValidationError(INVALID_INSTANT, code="invalid") from None


def parse_whole_number(text: str) -> int:
    """Return the whole number that is written in decimal digits; raise ``ValidationError``."""
    if len(text) > MAX_DIGITS or not _WHOLE_NUMBER.fullmatch(text):
        raise ValidationError(INVALID_WHOLE_NUMBER, code="invalid")
    return int(text)
