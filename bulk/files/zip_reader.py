"""
Reads zips of several files as streams: nothing is unpacked to a disk, and zips that unpack to too much are refused.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, NamedTuple

from django.conf import settings

from bulk.files.csv_reader import UnreadableFile
from school.i18n.stored_messages import sentence as _

MOST_OF_A_DIRECTORY = 1 << 18  # bytes, some 4,000 files: opening a zip reads all of it, a second for 15,000
END = b"PK\x05\x06"
END_64 = b"PK\x06\x07"
END_BYTES = 22
ENCRYPTED = 1  # bit in the flags of a file


class ZippedFile(NamedTuple):
    """A file in a zip. ``name`` is its full name, with slashes between folders."""

    name: str
    content: BinaryIO

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem.lower()


class Contents(NamedTuple):
    """
    The contents of a zip: its CSV files, and the names of its other files.

    ``by_system`` has the names of the files that operating systems add to a zip. They are in neither of the others.
    """

    tables: list[ZippedFile]
    others: list[str]
    by_system: list[str]


def contents_of_zip(source: BinaryIO, size: int) -> Contents:
    """Return the contents of a zip of ``size`` bytes; raise ``UnreadableFile``."""
    archive = _opened(source, size)
    files = [info for info in archive.infolist() if not info.is_dir()]
    infos = [info for info in files if not _is_by_system(_name(info))]
    by_system = [_name(info) for info in files if _is_by_system(_name(info))]
    tables = [file for info, file in _tables(archive) if not _is_by_system(file.name)]
    return Contents(tables, [_name(info) for info in infos if not is_table(info)], by_system)


def has_comments(source: BinaryIO, size: int) -> bool:
    """True for a zip with a comment on itself or on one of its files."""
    archive = _opened(source, size)
    return bool(archive.comment) or any(info.comment for info in archive.infolist())


def is_table(info: zipfile.ZipInfo) -> bool:
    """True for a CSV file."""
    return not info.is_dir() and PurePosixPath(_name(info)).suffix.lower() == ".csv"


def _tables(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, ZippedFile]]:
    allowance = _Allowance(settings.MAX_UNZIPPED_BYTES)
    if sum(info.file_size for info in archive.infolist()) > allowance.most:
        raise allowance.exceeded()
    for info in archive.infolist():
        if is_table(info):
            name = _name(info)
            yield info, ZippedFile(name, io.BufferedReader(_Member(archive, info, name, allowance), 1 << 16))


def _opened(source: BinaryIO, size: int) -> zipfile.ZipFile:
    _check_directory(source, size)
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _not_a_zip(error) from None


def _name(info: zipfile.ZipInfo) -> str:
    """Return the printable name of a file in a zip, with slashes; some Windows programs write backslashes."""
    name = info.filename.replace("\\", "/")
    return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)


def _is_by_system(name: str) -> bool:
    """True for the files that macOS and Windows add to folders and zips."""
    *folders, own = PurePosixPath(name).parts or ("",)
    return "__MACOSX" in folders or own.startswith(".") or own.lower() in ("thumbs.db", "desktop.ini")


def _check_directory(source: BinaryIO, size: int) -> None:
    """Raise ``UnreadableFile`` for a directory that would take much memory, before anything reads it."""
    tail_size = min(size, END_BYTES + 20 + (1 << 16))
    source.seek(size - tail_size)
    tail = source.read(tail_size)
    place = tail.rfind(END)
    if place < 0 or len(tail) - place < END_BYTES:
        raise _not_a_zip(_("it has no directory; send a CSV file with the kind students, courses or enrollments"))
    directory = int.from_bytes(tail[place + 12 : place + 16], "little")
    if directory > MOST_OF_A_DIRECTORY or tail[max(place - 20, 0) : place].startswith(END_64):
        raise UnreadableFile("zip_too_large", _("The zip contains too many files."))


class _Allowance:
    """The maximum number of bytes that the files of a zip may unpack to, in total, each time that they are read."""

    def __init__(self, most: int) -> None:
        self.most = most

    def exceeded(self) -> UnreadableFile:
        message = _("The zip unpacks to more than %(most)s bytes.") % {"most": self.most}
        return UnreadableFile("zip_too_large", message)


class _Member(io.RawIOBase):
    """
    A file in a zip, as a stream that can be restarted. Its bytes are counted; the size in its header is not trusted.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, allowance: _Allowance) -> None:
        self.archive, self.info, self.name, self.allowance = archive, info, name, allowance
        self.came = 0
        self.stream: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("A file in a zip is read from its beginning.")
        if self.stream:
            self.stream.close()
        self.stream = self._begun()
        self.came = 0
        return 0

    def _begun(self) -> IO[bytes]:
        if self.info.flag_bits & ENCRYPTED:
            message = _("%(file)s is encrypted. Send the zip without a password.") % {"file": self.name}
            raise UnreadableFile("not_a_zip", message)
        # Other methods unpack to thousands of times their size before the bytes can be counted.
        if self.info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            message = _(
                "The compression method of %(file)s is not supported. Use Deflate, the default of most programs."
            )
            raise UnreadableFile("not_a_zip", message % {"file": self.name})
        try:
            return self.archive.open(self.info)
        except (RuntimeError, zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            raise _not_a_zip(error, self.name) from None

    def tell(self) -> int:
        return self.came

    def readinto(self, buffer: Any, /) -> int:
        self.stream = self.stream or self._begun()
        try:
            content = self.stream.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _not_a_zip(error, self.name) from None
        self.came += len(content)
        if self.came > self.allowance.most:
            raise self.allowance.exceeded()
        buffer[: len(content)] = content
        return len(content)


def _not_a_zip(why: object, name: str = "") -> UnreadableFile:
    return UnreadableFile("not_a_zip", _("The zip cannot be read (%(why)s).") % {"why": why}, name=name)
