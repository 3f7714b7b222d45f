"""
The registry of import kinds: the setting ``IMPORT_KINDS`` names importers of the apps that know students and courses.
"""

from collections.abc import Mapping
from functools import partial
from typing import BinaryIO

from django.conf import settings
from django.utils.module_loading import import_string

from bulk.file_store import open_kept
from bulk.files.csv_reader import UnreadableFile
from bulk.files.formats import document_of
from bulk.files.zip_reader import ZippedFile, contents_of_zip
from bulk.importers.base import Importer, Option
from bulk.importers.part import Part
from bulk.models import UNDO, ZIP, Import, Mode
from school.i18n.stored_messages import joined
from school.i18n.stored_messages import sentence as _
from school.refusals import Refusal, Refused

SHOWN_NAMES = 10


def kinds() -> Mapping[str, type[Importer]]:
    """Return the importer class of each kind, in the order in which the files of a zip are applied."""
    return {kind: import_string(path) for kind, path in settings.IMPORT_KINDS.items()}


def importers_of(kind: str) -> list[type[Importer]]:
    """Return the importer class of a kind, or those of all kinds for a zip; raise ``Refused`` for an unknown kind."""
    known = kinds()
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
    Return the rights that a kind checks, by name, as API scope and permission; raise ``Refused`` for an unknown kind.
    """
    return {name: right for importer in importers_of(kind) for name, right in importer.rights.items()}


def modes_of(kind: str) -> tuple[str, ...]:
    """
    Return the modes of a kind; raise ``Refused`` for an unknown kind. A zip is always delta: its files share no scope.
    """
    [*importers] = importers_of(kind)
    return (Mode.DELTA,) if kind == ZIP else importers[0].modes


def parts_of(job: Import, file: BinaryIO | None = None) -> list[Part]:
    """
    Return the parts of an import in the order in which they are applied: one file, or the files of a zip.

    The parts of an undo are in reverse order. ``file`` is a local copy of the stored file, if the caller has one. Raise
    ``UnreadableFile`` for a file that cannot be read or is no longer stored.
    """
    if job.discarded_at:
        message = _("The file of import %(id)s and the results of its rows have been deleted.") % {"id": job.pk}
        raise UnreadableFile("no_longer_kept", message)
    if job.kind == UNDO:
        assert job.undoes is not None  # a database constraint ensures it
        undone = job.undoes.kind
        return [Part(each.undoer(job), each.kind if undone == ZIP else "") for each in reversed(importers_of(undone))]
    if job.kind == ZIP:
        return _parts_of_zip(job, file)
    [importer_class] = importers_of(job.kind)
    importer = importer_class(job)
    importer.file = file
    importer.open_part = partial(_open_part, job)
    return [Part(importer)]


def _open_part(job: Import, kind: str) -> Importer | None:
    """
    Return a new importer for the file of a kind, None if there is none. Another importer may be reading the same file.
    """
    return next((part.importer for part in parts_of(job) if part.importer.kind == kind), None)


def _parts_of_zip(job: Import, file: BinaryIO | None) -> list[Part]:
    tables, others, _by_system = contents_of_zip(file or open_kept(job), job.size)
    parts = []
    for kind, importer_class in kinds().items():
        found = [table for table in tables if table.stem in importer_class.file_names]
        importers = [_importer_of(job, importer_class, table) for table in found]
        if len(found) > 1:
            importers = [importer for importer in importers if not importer.is_only_looked_up()]
        if found and len(importers) != 1:
            raise _duplicate_file(kind, found)
        for importer in importers:
            importer.looked_up = _looked_up(importer, tables)
            parts.append(Part(importer, kind))
    if not parts:
        names = [table.name for table in tables] + others
        if document := document_of(names):
            raise UnreadableFile("missing_file", document)
        wanted = ", ".join(f"{each.file_names[0]}.csv" for each in kinds().values())
        missing: str = _("The zip has none of: %(names)s.") % {"names": wanted}
        if names:
            missing = joined([missing, _("Files in the zip: %(names)s.") % {"names": _listed(names)}])
        raise UnreadableFile("missing_file", missing)
    return parts


def _importer_of(job: Import, importer_class: type[Importer], table: ZippedFile) -> Importer:
    importer = importer_class(job)
    importer.file_name, importer.file = table
    importer.open_part = partial(_open_part, job)
    return importer


def _looked_up(importer: Importer, tables: list[ZippedFile]) -> dict[str, tuple[str, BinaryIO]]:
    """
    Return the files that an importer only looks up, by name; raise ``UnreadableFile`` for two files of the same name.
    """
    found: dict[str, tuple[str, BinaryIO]] = {}
    for name in importer.looked_up_columns:
        several = [each for each in tables if each.stem == name and each.name != importer.file_name]
        if len(several) > 1:
            raise _duplicate_file(name, several)
        if several:
            found[name] = several[0]
    return found


def _duplicate_file(kind: str, found: list[ZippedFile]) -> UnreadableFile:
    message = _("The zip has more than one file of %(kind)s: %(names)s. Send only one.")
    return UnreadableFile("duplicate_file", message % {"kind": kind, "names": _listed([each.name for each in found])})


def files_not_applied(job: Import, parts: list[Part], file: BinaryIO) -> list[Refusal]:
    """Return warnings for the files in a zip that are only looked up or ignored; raise ``UnreadableFile``."""
    if job.kind != ZIP:
        return []
    tables, others, _by_system = contents_of_zip(file, job.size)
    applied = {part.importer.file_name for part in parts}
    looked_up = list(dict.fromkeys(name for part in parts for name, _file in part.importer.looked_up.values()))
    unread = [table.name for table in tables if table.name not in applied and table.name not in looked_up] + others
    warnings = []
    if looked_up:
        message = _("Files in the zip that were only used to resolve references: %(names)s")
        warnings.append(Refusal("looked_up_files", message % {"names": _listed(looked_up)}))
    if unread:
        message = _("Ignored files in the zip: %(names)s")
        warnings.append(Refusal("unread_files", message % {"names": _listed(unread)}))
    return warnings


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown}, …"
