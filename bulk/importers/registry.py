"""
The registry of import kinds: the setting ``IMPORT_KINDS`` names importers of the apps that know students and courses.
"""

from collections.abc import Mapping

from django.conf import settings
from django.utils.module_loading import import_string

from bulk.importers.base import Importer, Option
from bulk.models import ZIP, Mode
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, Refused


def importer_classes() -> Mapping[str, type[Importer]]:
    """Return the importer class of each kind. The files of a zip are applied in this order."""
    return {kind: import_string(path) for kind, path in settings.IMPORT_KINDS.items()}


def importers_of(kind: str) -> list[type[Importer]]:
    """Return the importer class of a kind, or those of all kinds for a zip; raise ``Refused`` for an unknown kind."""
    known = importer_classes()
    if kind == ZIP:
        return list(known.values())
    if kind not in known:
        message = _("%(kind)s is not one of: %(kinds)s.") % {"kind": kind, "kinds": ", ".join([*known, ZIP])}
        raise Refused([Refusal("invalid_choice", message, field="kind")])
    return [known[kind]]


def options_of(kind: str) -> dict[str, Option]:
    """Return the options of a kind by name; raise ``Refused`` for an unknown kind."""
    return {option.name: option for importer in importers_of(kind) for option in importer.options}


def rights_of(kind: str) -> dict[str, tuple[str, str]]:
    """
    Return the rights that a kind checks: maps the name of a right to the API scope and the permission.

    Raise ``Refused`` for an unknown kind.
    """
    return {name: right for importer in importers_of(kind) for name, right in importer.rights.items()}


def modes_of(kind: str) -> tuple[str, ...]:
    """
    Return the modes of a kind; raise ``Refused`` for an unknown kind.

    A zip has only the mode delta, because its files have no common scope.
    """
    [*importers] = importers_of(kind)
    return (Mode.DELTA,) if kind == ZIP else importers[0].modes
