"""The importers for files of terms, which promote waitlisted students after a change, and their undo."""

from bulk.importers.history_undo import HistoryUndo
from bulk.models import Import
from courses.term_imports import SessionImporter, TermImporter
from students.imports.actor import actor_from_import
from students.imports.object_savers import TermWithWaitlistsSaver


class TermWithWaitlistsImporter(TermWithWaitlistsSaver, TermImporter):
    """Imports terms. By a change, such as more credits, waitlisted students may get free seats."""

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job)


class SessionWithWaitlistsImporter(TermWithWaitlistsSaver, SessionImporter):
    """Imports the academic sessions of a zip of OneRoster as terms, as ``TermWithWaitlistsImporter`` does."""

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job)


class TermUndo(HistoryUndo):
    kind = TermWithWaitlistsImporter.kind
    id_column = TermWithWaitlistsImporter.id_column
    key_columns = ("id",)
    columns = ()
    importer_class = TermWithWaitlistsImporter


TermWithWaitlistsImporter.undo_importer = TermUndo
SessionWithWaitlistsImporter.undo_importer = TermUndo
TermWithWaitlistsImporter.roster_importer = SessionWithWaitlistsImporter
