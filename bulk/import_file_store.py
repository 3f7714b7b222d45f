"""
Stores the files of imports in the database: a backup of the database includes them, and every worker can read them.

``docs/decisions/0016-imports-kept.md`` explains why they are not in a folder.
"""

import hashlib
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from bulk.models import FileChunk, Import

CHUNK_BYTES = 1 << 20
COMPRESSION = 1  # the fastest level, with which CSV still shrinks to a fifth


def store_file(source: BinaryIO, file_import: Import) -> None:
    """Store the file of an import, and save its size and SHA-256, within the caller's transaction."""
    file_import.sha256, file_import.size = _write(source, file_import)
    file_import.save(update_fields=["sha256", "size"])


def replace_file(source: BinaryIO, file_import: Import) -> None:
    """
    Replace the stored file of an import within the caller's transaction.

    The SHA-256 stays that of the original file.
    """
    FileChunk.objects.filter(file_import=file_import).delete()
    _sha256, file_import.size = _write(source, file_import)
    file_import.save(update_fields=["size"])


def _write(source: BinaryIO, file_import: Import) -> tuple[str, int]:
    """Write the chunks of a file; return its SHA-256 and its size in bytes."""
    digest, size, position = hashlib.sha256(), 0, 0
    while content := _read_chunk(source):
        digest.update(content)
        size += len(content)
        compressed = zlib.compress(content, COMPRESSION)
        FileChunk.objects.create(file_import=file_import, position=position, content=compressed)
        position += 1
    return digest.hexdigest(), size


def _read_chunk(source: BinaryIO) -> bytes:
    """Read a whole chunk, even if the source returns fewer bytes at a time than requested."""
    pieces, missing = [], CHUNK_BYTES
    while missing and (piece := source.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def sha256_of(source: BinaryIO) -> str:
    """Return the SHA-256 of a file, and seek to its beginning."""
    source.seek(0)
    digest = hashlib.sha256()
    while content := source.read(CHUNK_BYTES):
        digest.update(content)
    source.seek(0)
    return digest.hexdigest()


def open_stored(file_import: Import) -> BinaryIO:
    """Return the stored file of an import as a stream that can be read from any position."""
    return io.BufferedReader(_ChunkStream(file_import.pk, file_import.size), CHUNK_BYTES)


@contextmanager
def local_copy(file_import: Import) -> Iterator[BinaryIO]:
    """Copy the stored file of an import to a temporary file, for threads without a database connection."""
    with open_stored(file_import) as stored, tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stored, copy, CHUNK_BYTES)
        yield copy


class _ChunkStream(io.RawIOBase):
    """A stream over the chunks of a stored file. One chunk is in memory at a time."""

    def __init__(self, import_id: int, size: int) -> None:
        self.import_id = import_id
        self.size = size
        self.offset = 0
        self.current: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.offset = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.offset, io.SEEK_END: self.size}[whence], 0)
        return self.offset

    def tell(self) -> int:
        return self.offset

    def readinto(self, buffer: Any, /) -> int:
        if self.offset >= self.size:
            return 0
        position, start = divmod(self.offset, CHUNK_BYTES)
        piece = self._chunk(position)[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self.offset += len(piece)
        return len(piece)

    def _chunk(self, position: int) -> bytes:
        if self.current[0] != position:
            content = FileChunk.objects.values_list("content", flat=True).get(
                file_import_id=self.import_id, position=position
            )
            self.current = position, zlib.decompress(content)
        return self.current[1]
