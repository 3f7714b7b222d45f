"""
Translated labels for the identifiers of imports: kinds, modes, choices of options, and outcomes.

The identifiers themselves stay English in files, options and reports. This module marks the identifiers for translation
that no other module marks; pages translate them into their own language.
"""

from django.utils.translation import gettext, gettext_noop

MODES = (gettext_noop("delta"), gettext_noop("full"))
KINDS = (gettext_noop("zip"), gettext_noop("undo"))
OUTCOMES = (
    gettext_noop("created"),
    gettext_noop("updated"),
    gettext_noop("unchanged"),
    gettext_noop("error"),
    gettext_noop("skipped"),
    gettext_noop("reversed"),
    gettext_noop("released"),
    gettext_noop("kept"),
    gettext_noop("kept_manual"),
    gettext_noop("kept_other_source"),
    gettext_noop("kept_uncertain"),
)
OPTION_VALUES = {"reject": gettext_noop("refuse"), "waitlist": gettext_noop("waitlist")}


def translated_label(name: str) -> str:
    """Return the label of an identifier, such as ``kept_manual``, in the current language."""
    return gettext(name) if name else ""
