"""
Kinds, modes, options and outcomes of files as people call them.

They are words of programs first, in files, options and reports, and stay English there. Those that are not marked for
translation anywhere else are marked here; a page looks each of them up in its own language.
"""

from django.utils.translation import gettext, gettext_noop

MODES = (gettext_noop("delta"), gettext_noop("full"))
KINDS = (gettext_noop("zip"), gettext_noop("undo"))
OUTCOMES = (
    gettext_noop("created"),
    gettext_noop("updated"),
    gettext_noop("unchanged"),
    gettext_noop("error"),
    gettext_noop("reversed"),
    gettext_noop("kept"),
)
OPTIONS = (gettext_noop("On full"), gettext_noop("Term"), gettext_noop("reject"), gettext_noop("waitlist"))


def word(name: str) -> str:
    """Return a word of programs, ``on_full`` for example, in the language of who reads it now."""
    return gettext(name) if name else ""


def title(name: str) -> str:
    """Return the name of an option as the label of a field."""
    return word(name.replace("_", " ").capitalize())
