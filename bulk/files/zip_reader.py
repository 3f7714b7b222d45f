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
from school.i18n.stored_messages import translatable as _

# The maximum size of the directory in bytes, for about 4,000 files; opening a zip reads the whole directory.
MAX_DIRECTORY_BYTES = 1 << 18
END_OF_DIRECTORY = b"PK\x05\x06"
ZIP64_LOCATOR = b"PK\x06\x07"
END_OF_DIRECTORY_BYTES = 22
ENCRYPTED = 1  # the bit for encryption in the flags of a file


class ZippedFile(NamedTuple):
    """A file in a zip. ``name`` is its full name, with slashes between folders."""

    name: str
    content: BinaryIO

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem.lower()


class ZipContents(NamedTuple):
    """
    The contents of a zip: its CSV files (``tables``), and the names of its other files.

    ``system_files`` has the names of the files that operating systems add to a zip; they are not in the other lists.
    """

    tables: list[ZippedFile]
    other_files: list[str]
    system_files: list[str]


def read_zip(source: BinaryIO, size: int) -> ZipContents:
    """Return the contents of a zip of ``size`` bytes; raise ``UnreadableFile``."""
    archive = _open_archive(source, size)
    files = [info for info in archive.infolist() if not info.is_dir()]
    infos = [info for info in files if not _is_system_file(_name(info))]
    system_files = [_name(info) for info in files if _is_system_file(_name(info))]
    tables = [file for info, file in _tables(archive) if not _is_system_file(file.name)]
    return ZipContents(tables, [_name(info) for info in infos if not is_table(info)], system_files)


def has_comments(source: BinaryIO, size: int) -> bool:
    """Return True if the zip or one of its files has a comment."""
    archive = _open_archive(source, size)
    return bool(archive.comment) or any(info.comment for info in archive.infolist())


def is_table(info: zipfile.ZipInfo) -> bool:
    """Return True if the file is a CSV file."""
    return not info.is_dir() and PurePosixPath(_name(info)).suffix.lower() == ".csv"


def _tables(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, ZippedFile]]:
    limit = _UnpackLimit(settings.MAX_UNZIPPED_BYTES)
    if sum(info.file_size for info in archive.infolist()) > limit.max_bytes:
        raise limit.exceeded()
    for info in archive.infolist():
        if is_table(info):
            name = _name(info)
            yield info, ZippedFile(name, io.BufferedReader(_Member(archive, info, name, limit), 1 << 16))


def _open_archive(source: BinaryIO, size: int) -> zipfile.ZipFile:
    _check_directory(source, size)
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _unreadable_zip(error) from None


def _name(info: zipfile.ZipInfo) -> str:
    """Return the printable name of a file in a zip, with slashes; some Windows programs write backslashes."""
    name = info.filename.replace("\\", "/")
    return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)


def _is_system_file(name: str) -> bool:
    """Return True for a file that macOS or Windows has added to a folder or a zip."""
    *folders, file_name = PurePosixPath(name).parts or ("",)
    return "__MACOSX" in folders or file_name.startswith(".") or file_name.lower() in ("thumbs.db", "desktop.ini")


def _check_directory(source: BinaryIO, size: int) -> None:
    """Raise ``UnreadableFile`` for a directory that would take much memory, before anything reads it."""
    tail_size = min(size, END_OF_DIRECTORY_BYTES + 20 + (1 << 16))
    source.seek(size - tail_size)
    tail = source.read(tail_size)
    end_offset = tail.rfind(END_OF_DIRECTORY)
    if end_offset < 0 or len(tail) - end_offset < END_OF_DIRECTORY_BYTES:
        raise _unreadable_zip(
            _("it has no directory; send a CSV file with the kind terms, students, courses or enrollments")
        )
    directory = int.from_bytes(tail[end_offset + 12 : end_offset + 16], "little")
    if directory > MAX_DIRECTORY_BYTES or tail[max(end_offset - 20, 0) : end_offset].startswith(ZIP64_LOCATOR):
        raise UnreadableFile("zip_too_large", _("The zip contains too many files."))


class _UnpackLimit:
    """The maximum number of bytes that the files of a zip may unpack to, in total, each time that they are read."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def exceeded(self) -> UnreadableFile:
        message = _("The zip unpacks to more than %(most)s bytes.") % {"most": self.max_bytes}
        return UnreadableFile("zip_too_large", message)


class _Member(io.RawIOBase):
    """
    A file in a zip, as a stream that can be restarted.

    Its bytes are counted; the size in its header is not trusted.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, limit: _UnpackLimit) -> None:
        self.archive, self.info, self.name, self.limit = archive, info, name, limit
        self.position = 0
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
        self.stream = self._open_stream()
        self.position = 0
        return 0

    def _open_stream(self) -> IO[bytes]:
        if self.info.flag_bits & ENCRYPTED:
            message = _("%(file)s is encrypted. Send the zip without a password.") % {"file": self.name}
            raise UnreadableFile("not_a_zip", message)
        # Other compression methods can unpack to thousands of times their size before the bytes can be counted.
        if self.info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            message = _(
                "The compression method of %(file)s is not supported. Use Deflate, the default of most programs."
            )
            raise UnreadableFile("not_a_zip", message % {"file": self.name})
        try:
            return self.archive.open(self.info)
        except (RuntimeError, zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            raise _unreadable_zip(error, self.name) from None

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any, /) -> int:
        self.stream = self.stream or self._open_stream()
        try:
            content = self.stream.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _unreadable_zip(error, self.name) from None
        self.position += len(content)
        if self.position > self.limit.max_bytes:
            raise self.limit.exceeded()
        buffer[: len(content)] = content
        return len(content)


def _unreadable_zip(reason: object, name: str = "") -> UnreadableFile:
    return UnreadableFile("not_a_zip", _("The zip cannot be read (%(why)s).") % {"why": reason}, name=name)
