"""Validators of model fields: identifiers, plain texts, email domains and dates."""

from datetime import date

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy

from school.i18n.stored_messages import translatable as _
from school.identifiers import (
    REPLACEMENT_CHARACTERS,
    character_fault,
    character_name,
    error_value_fault,
    identifier_fault,
)
from school.text_normalization import is_invisible, is_plain, plain_equivalent


def identifier(text: str) -> None:
    """
    Raise ``ValidationError`` for a text that cannot be a student number or a code.

    In URLs, "@" separates a course's code from its term, and "/" separates path segments. A character that is invisible
    or looks like another one would lead to a duplicate student, and so would a number that a spreadsheet has rewritten.
    The message names the character and its position.
    """
    message = identifier_fault(text)
    if message:
        raise ValidationError(message, code="invalid_identifier")


def plain_text(text: str) -> None:
    """
    Raise ``ValidationError`` for a text that was damaged: with control characters, lost characters or an error value.

    Control characters would not survive a file. U+FFFD replaces a character that another program has lost.
    """
    if not is_plain(text):
        raise ValidationError(
            gettext_lazy("Control characters are not allowed. Remove them."), code="control_characters"
        )
    for position, character in enumerate(text if not text.isascii() else "", 1):
        if character in REPLACEMENT_CHARACTERS:
            message = _(
                "A character was lost and replaced by %(character)s at position %(position)s. Enter the original "
                "character."
            )
            raise ValidationError(
                message % {"character": character_name(character), "position": position}, code="invalid"
            )
    if fault := error_value_fault(text):
        raise ValidationError(fault, code="invalid")


def email_domain(text: str) -> None:
    """Raise ``ValidationError`` for an email address with a character that is invisible or a look-alike."""
    for position, character in enumerate(text, 1):
        if not character.isascii() and (is_invisible(character) or plain_equivalent(character) != character):
            raise ValidationError(character_fault(character, position) or "", code="invalid")


def in_our_times(moment: date) -> None:
    """Raise ``ValidationError`` for a date or datetime outside the years that all databases and time zones support."""
    if not 1900 <= moment.year <= 9000:
        raise ValidationError(gettext_lazy("Use a year from 1900 to 9000."), code="year_out_of_range")


MAX_COUNT = 2**31 - 1  # the largest integer that both databases store
