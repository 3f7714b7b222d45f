"""
Zips of several files, read where they lie: nothing is unpacked to a disk, and what would unpack to too much is refused.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.translation import gettext as _

from bulk.reading import UnreadableFile

MOST_OF_A_DIRECTORY = 1 << 20  # bytes; the whole directory of a zip is held in memory
END = b"PK\x05\x06"
END_64 = b"PK\x06\x07"
END_BYTES = 22


def files_in(source: BinaryIO, size: int) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the files in a zip by the stems of their names, in lower case. Raise ``UnreadableFile``."""
    _check_directory(source, size)
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _not_a_zip(error) from None
    allowance = _Allowance(settings.MAX_UNZIPPED_BYTES)
    if sum(info.file_size for info in archive.infolist()) > allowance.most:
        raise allowance.exceeded()
    for info in archive.infolist():
        if is_table(info.filename):
            stem = PurePosixPath(info.filename).stem.lower()
            yield stem, io.BufferedReader(_Member(archive, info, allowance), 1 << 16)


def is_table(file_name: str) -> bool:
    """Tell whether a file in a zip is one that is read."""
    name = PurePosixPath(file_name)
    return name.suffix.lower() == ".csv" and not name.name.startswith(".")


def _check_directory(source: BinaryIO, size: int) -> None:
    """Refuse a directory that would take much memory, before anything reads it."""
    tail_size = min(size, END_BYTES + 20 + (1 << 16))
    source.seek(size - tail_size)
    tail = source.read(tail_size)
    place = tail.rfind(END)
    if place < 0 or len(tail) - place < END_BYTES:
        raise _not_a_zip(_("it has no directory"))
    directory = int.from_bytes(tail[place + 12 : place + 16], "little")
    if directory > MOST_OF_A_DIRECTORY or tail[max(place - 20, 0) : place].startswith(END_64):
        raise UnreadableFile("zip_too_large", _("The zip has too many files in it."))


class _Allowance:
    """How much may come out of a zip, all of its files together, each time that they are read."""

    def __init__(self, most: int) -> None:
        self.most = most

    def exceeded(self) -> UnreadableFile:
        message = _("The zip unpacks to more than %(most)s bytes.") % {"most": self.most}
        return UnreadableFile("zip_too_large", message)


class _Member(io.RawIOBase):
    """A file in a zip, as a stream that can be begun anew. What its header says of its size is not believed."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, allowance: _Allowance) -> None:
        self.archive, self.info, self.allowance = archive, info, allowance
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("A file in a zip is read from its beginning.")
        try:
            self.stream = self.archive.open(self.info)
        except (RuntimeError, zipfile.BadZipFile, NotImplementedError) as error:  # encrypted, damaged, packed otherwise
            raise _not_a_zip(error) from None
        self.came = 0
        return 0

    def tell(self) -> int:
        return self.came

    def readinto(self, buffer: Any, /) -> int:
        try:
            content = self.stream.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _not_a_zip(error) from None
        self.came += len(content)
        if self.came > self.allowance.most:
            raise self.allowance.exceeded()
        buffer[: len(content)] = content
        return len(content)


def _not_a_zip(why: object) -> UnreadableFile:
    return UnreadableFile("not_a_zip", _("This is no zip that can be read (%(why)s).") % {"why": why})
