"""What identifiers that people give may look like."""

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

# "@" parts a course's code from its term in addresses, "/" parts the address itself.
identifier = RegexValidator(
    r"^[^\s/@\x00-\x1f\x7f](?:[^/@\x00-\x1f\x7f]*[^\s/@\x00-\x1f\x7f])?\Z",
    _("Use no slash, no @, no control characters, and no blanks at the ends."),
    code="invalid_identifier",
)

BIGGEST_ID = 2**63 - 1
BIGGEST_COUNT = 2**31 - 1  # what both databases store as an integer


def parse_ids(text: str) -> list[int]:
    """Return the one database id that `text` spells, or none where it cannot be an id."""
    is_id = text.isascii() and text.isdecimal() and len(text) <= 19 and 0 < int(text) <= BIGGEST_ID
    return [int(text)] if is_id else []
