"""The kinds of files that there are. Who knows students and courses names them in the settings."""

from collections.abc import Mapping
from typing import BinaryIO

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from bulk.importing import Importer, Option
from bulk.models import UNDO, ZIP, Import, Mode
from bulk.reading import UnreadableFile
from bulk.running import Part
from bulk.storage import open_kept
from bulk.zips import files_in
from school.refusals import Refusal, Refused


def kinds() -> Mapping[str, type[Importer]]:
    """Return the importer of each kind of file, in the order in which one leads to the other."""
    return {kind: import_string(path) for kind, path in settings.IMPORT_KINDS.items()}


def importers_of(kind: str) -> list[type[Importer]]:
    """Return the importer of a kind, those of all kinds for a zip; raise ``Refused``."""
    known = kinds()
    if kind == ZIP:
        return list(known.values())
    if kind not in known:
        message = _("%(kind)s is none of: %(kinds)s.") % {"kind": kind, "kinds": ", ".join([*known, ZIP])}
        raise Refused([Refusal("invalid_choice", message, field="kind")])
    return [known[kind]]


def options_of(kind: str) -> dict[str, Option]:
    """Return the options of a kind by their names; raise ``Refused``."""
    return {option.name: option for importer in importers_of(kind) for option in importer.options}


def rights_of(kind: str) -> dict[str, tuple[str, str]]:
    """Return what a kind of file may do only for who may it: scope and permission; raise ``Refused``."""
    return {name: right for importer in importers_of(kind) for name, right in importer.rights.items()}


def modes_of(kind: str) -> tuple[str, ...]:
    """Return the modes of a kind; raise ``Refused``. A zip is always delta: its files have no scope in common."""
    [*importers] = importers_of(kind)
    return (Mode.DELTA,) if kind == ZIP else importers[0].modes


def parts_of(job: Import, file: BinaryIO | None = None) -> list[Part]:
    """
    Return what an import is made of: one file, or the files of a zip in the order in which one leads to the other.

    An undo goes the other way round. ``file`` is a copy at hand of the one that is kept. Raise ``UnreadableFile``.
    """
    if job.discarded_at:
        message = _("The file of import %(id)s and what became of its rows are no longer kept.") % {"id": job.pk}
        raise UnreadableFile("no_longer_kept", message)
    if job.kind == UNDO:
        assert job.undoes is not None  # a constraint says so
        undone = job.undoes.kind
        return [Part(each.undoer(job), each.kind if undone == ZIP else "") for each in reversed(importers_of(undone))]
    if job.kind == ZIP:
        return _parts_of_zip(job, file)
    [importer_class] = importers_of(job.kind)
    importer = importer_class(job)
    importer.file = file
    return [Part(importer)]


def _parts_of_zip(job: Import, file: BinaryIO | None) -> list[Part]:
    files = dict(files_in(file or open_kept(job), job.size))
    parts = []
    for kind, importer_class in kinds().items():
        found = [name for name in importer_class.file_names if name in files]
        if found:
            importer = importer_class(job)
            importer.file = files[found[0]]
            parts.append(Part(importer, kind))
    if not parts:
        names = ", ".join(f"{each.file_names[0]}.csv" for each in kinds().values())
        raise UnreadableFile("missing_file", _("The zip has none of: %(names)s.") % {"names": names})
    return parts
