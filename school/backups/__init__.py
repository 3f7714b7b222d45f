"""
Backups of the database: files that are checked before they are used, and how each database makes and loads them.

``archive`` has the file format. ``databases`` has, for each database, a consistent snapshot and an empty database to
load one into.
"""

from school.backups.archive import Archive, BackupError, Manifest, open_archive, write_archive
from school.backups.databases import loading, snapshot
from school.backups.last_backup import record_backup

__all__ = [
    "Archive",
    "BackupError",
    "Manifest",
    "loading",
    "open_archive",
    "record_backup",
    "snapshot",
    "write_archive",
]
