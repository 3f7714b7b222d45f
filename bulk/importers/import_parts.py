"""The parts of an import: one file, or the files of a zip, each with the importer that applies its rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from bulk.files.csv_reader import Row, UnreadableFile
from bulk.files.duplicate_rows import RowKeyIndex
from bulk.files.non_csv_detection import office_document_error
from bulk.files.zip_reader import ZippedFile, read_zip
from bulk.import_file_store import open_stored
from bulk.importers.base import CHUNK_SIZE, Importer, apply_rows, record_keys
from bulk.importers.registry import importer_classes, importers_of
from bulk.models import UNDO, ZIP, Import
from bulk.roster_zips.manifest import Manifest, usable_manifest_of
from bulk.row_results import RowResult
from school.i18n.stored_messages import join_messages
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

MAX_SHOWN_NAMES = 10


@dataclass
class ImportPart:
    """
    A part of an import: one file. The import of a zip has several parts.

    ``key_index`` has the keys of the rows that were read, so that a later row that contradicts an earlier one is found.
    """

    importer: Importer
    name: str = ""
    key_index: RowKeyIndex = field(default_factory=RowKeyIndex)

    def chunks(self) -> Iterator[list[Row]]:
        source = self.importer.source()
        for rows in source.chunks(CHUNK_SIZE):
            self.importer.resolve(rows, source)
            yield rows

    def apply(self, rows: list[Row]) -> list[RowResult]:
        return apply_rows(self.importer, rows, self.key_index)

    def skip(self, rows: list[Row]) -> None:
        """Skip rows that are already applied, and record their keys."""
        record_keys(self.importer, [row for row in rows if not row.errors], self.key_index)

    def close(self) -> None:
        self.key_index.close()
        self.importer.close()


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
    if manifest := usable_manifest_of(tables):
        parts = _parts_of_roster(job, tables, manifest)
    else:
        parts = _parts_by_name(job, tables)
    if not parts:
        raise _no_known_file(tables, other_files, manifest)
    return parts


def _parts_by_name(job: Import, tables: list[ZippedFile]) -> list[ImportPart]:
    """Return the parts of a zip without a manifest: the files whose names are those of a kind."""
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
    return parts


def _parts_of_roster(job: Import, tables: list[ZippedFile], manifest: Manifest) -> list[ImportPart]:
    """Return the parts of a zip of OneRoster: the files that its manifest declares and a kind reads."""
    declared = [table for table in tables if manifest.has(table.stem)]
    parts = []
    for kind, importer_class in importer_classes().items():
        for table in [each for each in declared if each.stem == importer_class.roster_file.lower()][:1]:
            importer = _importer_of(job, importer_class.roster_importer or importer_class, table)
            importer.manifest = manifest
            importer.lookup_files = _lookup_files(importer, declared)
            parts.append(ImportPart(importer, kind))
    return parts


def _no_known_file(tables: list[ZippedFile], other_files: list[str], manifest: Manifest | None) -> UnreadableFile:
    names = [table.name for table in tables] + other_files
    if document := office_document_error(names):
        return UnreadableFile("missing_file", document)
    kinds = importer_classes().values()
    expected = ", ".join(f"{each.roster_file if manifest else each.file_names[0]}.csv" for each in kinds)
    missing: str = _("The zip has none of: %(names)s.") % {"names": expected}
    if names:
        missing = join_messages([missing, _("Files in the zip: %(names)s.") % {"names": _join_names(names)}])
    return UnreadableFile("missing_file", missing)


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
        if matches and not importer.needs_lookup(name):
            continue
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
    manifest = usable_manifest_of(tables)
    read = {part.importer.file_name for part in parts}
    lookup_names = [name for part in parts for name, _file in part.importer.lookup_files.values()]
    unread = manifest.unread_names if manifest else []
    if manifest:
        # The remaining files of the standard were read to check references.
        lookup_names += [table.name for table in tables if manifest.has(table.stem)]
        read |= {manifest.file_name, *(table.name for table in tables if table.stem in map(str.lower, unread))}
    lookup_names = [name for name in dict.fromkeys(lookup_names) if name not in read]
    ignored = [table.name for table in tables if table.name not in read and table.name not in lookup_names]
    warnings = []
    if lookup_names:
        message = _("Files in the zip that were only used to resolve references: %(names)s")
        warnings.append(Refusal("looked_up_files", message % {"names": _join_names(lookup_names)}))
    if unread:
        message = _("Files of OneRoster that School does not import: %(names)s")
        warnings.append(Refusal("unread_files", message % {"names": ", ".join(f"{name}.csv" for name in unread)}))
    if ignored := ignored + other_files:
        message = _("Ignored files in the zip: %(names)s")
        warnings.append(Refusal("unread_files", message % {"names": _join_names(ignored)}))
    return warnings


def _join_names(names: list[str]) -> str:
    joined_names = ", ".join(names[:MAX_SHOWN_NAMES])
    return joined_names if len(names) <= MAX_SHOWN_NAMES else f"{joined_names}, …"
