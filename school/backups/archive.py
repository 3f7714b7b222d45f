"""
The format of a backup: a zip with the data and, as its last member, a manifest.

The zip can be written to a pipe, and read with the usual tools if School is not at hand. The manifest has what must be
known before the data is loaded: the version of School, the migrations, and the checksum of the data.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

FORMAT = 1
README_MEMBER, MANIFEST_MEMBER = "school-backup.txt", "manifest.json"
DATA_MEMBERS = {"postgresql": "database.dump", "sqlite": "database.sqlite3"}
CHUNK_BYTES = 1 << 20
MAX_MANIFEST_BYTES = 1 << 20
README = """\
A backup of School. To restore it: manage.py restore FILE, with the version of School in manifest.json or a newer one.

Without School: database.dump is for pg_restore, database.sqlite3 is an SQLite database.
"""
# The first member is stored without compression, so a damaged file is still recognized by its beginning.
SIGNATURE = README_MEMBER.encode()
SIGNATURE_OFFSET = 30  # the length of a zip's local header, which the name of the member follows


class BackupError(Exception):
    """A backup cannot be made or used. The message is one line that names the file or the database, and the reason."""


@dataclass(frozen=True)
class Manifest:
    """The facts about a backup. ``migrations`` maps each app to the names of its applied migrations."""

    version: str
    database: str
    created_at: str
    migrations: Mapping[str, list[str]]
    last_journal_id: int
    enrollments: int
    format: int = FORMAT


class Archive(NamedTuple):
    """A backup whose checksum is right. ``open_data`` opens its data for reading, from the beginning each time."""

    manifest: Manifest
    open_data: Callable[[], IO[bytes]]


def write_archive(stream: BinaryIO, manifest: Manifest, chunks: Iterable[bytes]) -> None:
    """
    Write a backup to a stream that need not be seekable.

    If ``chunks`` raises an error, the stream has no manifest, so it is not accepted as a backup.
    """
    checksum = hashlib.sha256()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(README_MEMBER, README)
        data = zipfile.ZipInfo(DATA_MEMBERS[manifest.database])
        if manifest.database == "sqlite":  # a dump of PostgreSQL is compressed
            data.compress_type = zipfile.ZIP_DEFLATED
            data._compresslevel = 1  # type: ignore[attr-defined]
        with archive.open(data, "w", force_zip64=True) as member:
            for chunk in chunks:
                checksum.update(chunk)
                member.write(chunk)
        archive.writestr(MANIFEST_MEMBER, json.dumps({**asdict(manifest), "sha256": checksum.hexdigest()}, indent=1))


@contextmanager
def open_archive(path: str, report: Callable[[int], object] = lambda _bytes: None) -> Iterator[Archive]:
    """
    Open a backup and check it completely. Raise ``BackupError`` if it is none, or incomplete, or damaged.

    ``report`` is called with the number of bytes that were checked.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
            if file.read(SIGNATURE_OFFSET + len(SIGNATURE))[SIGNATURE_OFFSET:] != SIGNATURE:
                raise BackupError(f"{path} is not a backup that manage.py backup has made.")
            archive = _checked(path, stack.enter_context(zipfile.ZipFile(file)), report)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise BackupError(f"{path} is truncated or damaged. Use another backup.") from None
        except OSError as error:
            raise BackupError(f"Cannot read {path}: {error.strerror or 'it is damaged'}.") from None
        yield archive


def _checked(path: str, archive: zipfile.ZipFile, report: Callable[[int], object]) -> Archive:
    if MANIFEST_MEMBER not in archive.namelist():
        raise BackupError(f"{path} is incomplete: the backup failed before its end. Use another backup.")
    content = _read_manifest(path, archive)
    checksum = content.pop("sha256", None)
    if content.get("format") != FORMAT:
        raise BackupError(f"{path} was made by a newer version of School, {content.get('version')}. Use that version.")
    try:
        manifest = Manifest(**content)
        member = DATA_MEMBERS[manifest.database]
    except (TypeError, KeyError):
        raise BackupError(f"{path} has a manifest that cannot be read. Use another backup.") from None
    if _checksum(archive, member, report) != checksum:
        raise BackupError(f"{path} is damaged: its data does not have the checksum of the manifest.")
    return Archive(manifest, lambda: archive.open(member))


def _read_manifest(path: str, archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(MANIFEST_MEMBER).file_size <= MAX_MANIFEST_BYTES:
        try:
            content = json.loads(archive.read(MANIFEST_MEMBER))
        except ValueError:
            content = None
        if isinstance(content, dict):
            return content
    raise BackupError(f"{path} has a manifest that cannot be read. Use another backup.")


def _checksum(archive: zipfile.ZipFile, member: str, report: Callable[[int], object]) -> str:
    checksum, checked = hashlib.sha256(), 0
    with archive.open(member) as data:
        while chunk := data.read(CHUNK_BYTES):
            checksum.update(chunk)
            checked += len(chunk)
            report(checked)
    return checksum.hexdigest()
