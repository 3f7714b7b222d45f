"""
The files of imports, kept in the database: they survive with it, and every worker can read them.

See docs/decisions/ for why not a folder.
"""

import hashlib
import io
import zlib
from typing import Any, BinaryIO

from bulk.models import FileChunk, Import

CHUNK_BYTES = 1 << 20
COMPRESSION = 1  # fast; CSV shrinks to a fifth all the same


def keep(source: BinaryIO, file_import: Import) -> None:
    """Keep a file with its import, and note its size and its hash. Within the transaction of the caller."""
    digest, size, position = hashlib.sha256(), 0, 0
    while content := source.read(CHUNK_BYTES):
        digest.update(content)
        size += len(content)
        packed = zlib.compress(content, COMPRESSION)
        FileChunk.objects.create(file_import=file_import, position=position, content=packed)
        position += 1
    file_import.sha256, file_import.size = digest.hexdigest(), size
    file_import.save(update_fields=["sha256", "size"])


def hash_of(source: BinaryIO) -> str:
    """Return the SHA-256 of a file, and go back to its beginning."""
    source.seek(0)
    digest = hashlib.sha256()
    while content := source.read(CHUNK_BYTES):
        digest.update(content)
    source.seek(0)
    return digest.hexdigest()


def open_kept(file_import: Import) -> BinaryIO:
    """Return the file of an import, to be read as a stream and from its beginning again."""
    return io.BufferedReader(_Chunks(file_import.pk), CHUNK_BYTES)


class _Chunks(io.RawIOBase):
    """Read the chunks one after the other; the only place that can be gone to is the beginning."""

    def __init__(self, import_id: int) -> None:
        self.import_id = import_id
        self.position, self.rest = 0, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("A kept file is read from its beginning.")
        self.position, self.rest = 0, b""
        return 0

    def tell(self) -> int:
        return 0 if self.position == 0 else self.position * CHUNK_BYTES - len(self.rest)

    def readinto(self, buffer: Any, /) -> int:
        if not self.rest:
            chunks = FileChunk.objects.filter(file_import_id=self.import_id, position=self.position)
            content = chunks.values_list("content", flat=True).first()
            if content is None:
                return 0
            self.rest = zlib.decompress(content)
            self.position += 1
        taken = self.rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self.rest = self.rest[len(taken) :]
        return len(taken)
