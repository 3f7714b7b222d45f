"""The kinds of files that there are. Who knows students and courses names them in the settings."""

from collections.abc import Mapping

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from bulk.importing import Importer
from bulk.models import UNDO, Import
from bulk.running import Part
from school.refusals import Refusal, Refused


def kinds() -> Mapping[str, type[Importer]]:
    """Return the importer of each kind of file, in the order in which one leads to the other."""
    return {kind: import_string(path) for kind, path in settings.IMPORT_KINDS.items()}


def importer_of(kind: str) -> type[Importer]:
    """Return the importer of a kind; raise ``Refused``."""
    found = kinds().get(kind)
    if found is None:
        message = _("%(kind)s is none of: %(kinds)s.") % {"kind": kind, "kinds": ", ".join(settings.IMPORT_KINDS)}
        raise Refused([Refusal("invalid_choice", message, field="kind")])
    return found


def parts_of(job: Import) -> list[Part]:
    """Return what an import is made of."""
    if job.kind == UNDO:
        assert job.undoes is not None  # a constraint says so
        return [Part(importer_of(job.undoes.kind).undoer(job))]
    return [Part(importer_of(job.kind)(job))]
