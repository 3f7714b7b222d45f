"""
The registry of import kinds: the setting ``IMPORT_KINDS`` names importers of the apps that know students and courses.
"""

from collections.abc import Mapping
from functools import partial
from typing import BinaryIO

from django.conf import settings
from django.utils.module_loading import import_string

from bulk.file_store import open_stored
from bulk.files.csv_reader import UnreadableFile
from bulk.files.non_csv_detection import office_document_error
from bulk.files.zip_reader import ZippedFile, read_zip
from bulk.importers.base import Importer, Option
from bulk.importers.part_of_import import ImportPart
from bulk.models import UNDO, ZIP, Import, Mode
from school.i18n.stored_messages import join_messages
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, Refused

MAX_SHOWN_NAMES = 10


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


def parts_of(job: Import, file: BinaryIO | None = None) -> list[ImportPart]:
    """
    Return the parts of an import in the order in which they are applied: one file, or the files of a zip.

    The parts of an undo are in reverse order. ``file`` is a local copy of the stored file, if the caller has one. Raise
    ``UnreadableFile`` for a file that cannot be read or is no longer stored.
    """
    if job.discarded_at:
        message = _("The file of import %(id)s and the results of its rows have been deleted.") % {"id": job.pk}
        raise UnreadableFile("no_longer_kept", message)
    if job.kind == UNDO:
        assert job.undoes is not None  # a database constraint requires it for every undo
        original_kind = job.undoes.kind
        return [
            ImportPart(each.undo_importer(job), each.kind if original_kind == ZIP else "")
            for each in reversed(importers_of(original_kind))
        ]
    if job.kind == ZIP:
        return _parts_of_zip(job, file)
    [importer_class] = importers_of(job.kind)
    importer = importer_class(job)
    importer.file = file
    importer.open_part = partial(_open_part, job)
    return [ImportPart(importer)]


def _open_part(job: Import, kind: str) -> Importer | None:
    """
    Return a new importer for the file of a kind, None if there is none.

    Another importer may be reading the same file.
    """
    return next((part.importer for part in parts_of(job) if part.importer.kind == kind), None)


def _parts_of_zip(job: Import, file: BinaryIO | None) -> list[ImportPart]:
    tables, other_files, _system_files = read_zip(file or open_stored(job), job.size)
    parts = []
    for kind, importer_class in importer_classes().items():
        found = [table for table in tables if table.stem in importer_class.file_names]
        own = [each for table in found if not (each := _importer_of(job, importer_class, table)).is_foreign()]
        importers = own if len(own) < 2 else [importer for importer in own if not importer.is_lookup_only()]
        if own and len(importers) != 1:
            raise _duplicate_file(kind, found)
        for importer in importers:
            importer.lookup_files = _lookup_files(importer, tables)
            parts.append(ImportPart(importer, kind))
    if not parts:
        names = [table.name for table in tables] + other_files
        if document := office_document_error(names):
            raise UnreadableFile("missing_file", document)
        expected = ", ".join(f"{each.file_names[0]}.csv" for each in importer_classes().values())
        missing: str = _("The zip has none of: %(names)s.") % {"names": expected}
        if names:
            missing = join_messages([missing, _("Files in the zip: %(names)s.") % {"names": _join_names(names)}])
        raise UnreadableFile("missing_file", missing)
    return parts


def _importer_of(job: Import, importer_class: type[Importer], table: ZippedFile) -> Importer:
    importer = importer_class(job)
    importer.file_name, importer.file = table
    importer.open_part = partial(_open_part, job)
    return importer


def _lookup_files(importer: Importer, tables: list[ZippedFile]) -> dict[str, tuple[str, BinaryIO]]:
    """
    Return the files in which an importer only looks up references, by their names.

    Raise ``UnreadableFile`` for two files of the same name.
    """
    files: dict[str, tuple[str, BinaryIO]] = {}
    for name in importer.lookup_columns:
        matches = [each for each in tables if each.stem == name and each.name != importer.file_name]
        if len(matches) > 1:
            raise _duplicate_file(name, matches)
        if matches:
            files[name] = matches[0]
    return files


def _duplicate_file(kind: str, files: list[ZippedFile]) -> UnreadableFile:
    message = _("The zip has more than one file of %(kind)s: %(names)s. Send only one.")
    return UnreadableFile(
        "duplicate_file", message % {"kind": kind, "names": _join_names([each.name for each in files])}
    )


def unapplied_file_warnings(job: Import, parts: list[ImportPart], file: BinaryIO) -> list[Refusal]:
    """
    Return warnings for the files in a zip that are ignored, or used only to look up references; raise
    ``UnreadableFile``.
    """
    if job.kind != ZIP:
        return []
    tables, other_files, _system_files = read_zip(file, job.size)
    applied = {part.importer.file_name for part in parts}
    lookup_names = list(dict.fromkeys(name for part in parts for name, _file in part.importer.lookup_files.values()))
    ignored = [
        table.name for table in tables if table.name not in applied and table.name not in lookup_names
    ] + other_files
    warnings = []
    if lookup_names:
        message = _("Files in the zip that were only used to resolve references: %(names)s")
        warnings.append(Refusal("looked_up_files", message % {"names": _join_names(lookup_names)}))
    if ignored:
        message = _("Ignored files in the zip: %(names)s")
        warnings.append(Refusal("unread_files", message % {"names": _join_names(ignored)}))
    return warnings


def _join_names(names: list[str]) -> str:
    joined_names = ", ".join(names[:MAX_SHOWN_NAMES])
    return joined_names if len(names) <= MAX_SHOWN_NAMES else f"{joined_names}, …"
