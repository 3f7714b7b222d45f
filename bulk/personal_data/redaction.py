"""
Redacts the rows about a person in the stored file of an import.

Every character of such a row becomes an "x" and its separators stay, so that the other rows keep their position and
their number. The result of the row keeps its outcome and its codes, and loses its messages. The files in a zip that no
import reads are deleted.
"""

import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any

from bulk.import_file_store import CHUNK_BYTES, COMPRESSION, replace_file
from bulk.models import ZIP, FileChunk, Import, OutcomePage
from bulk.personal_data.identifiers import Identifiers
from bulk.personal_data.search import StoredFile, as_text, matching_rows, stored_files, unpack_page

CELL_BYTES = re.compile(rb'[^,;\t"\r\n]')

Span = tuple[int, int]


def redact(job: Import, identifiers: Identifiers) -> int:
    """Redact the rows of an import that are about a person, in the caller's transaction; return their number."""
    numbers: dict[str, set[int]] = {}
    spans: list[tuple[StoredFile, list[Span]]] = []
    for file in stored_files(job):
        if file.columns is not None:
            matches = list(matching_rows(file.content, identifiers, file.columns))
            numbers.setdefault(file.part, set()).update(match.number for match in matches)
            spans.append((file, [(match.start, match.end) for match in matches]))
    row_count = sum(len(row_spans) for _file, row_spans in spans)
    if job.kind == ZIP and not job.discarded_at:
        _rewrite_zip(job, identifiers, spans)
    elif row_count:
        _rewrite_chunks(job, spans[0][1])
    redact_import_texts(job, identifiers)
    return row_count + _rewrite_pages(job, identifiers, numbers)


def redact_import_texts(job: Import, identifiers: Identifiers) -> None:
    """Redact the texts of the import itself that name a person: file name, dataset, options, problems, warnings."""
    job.file_name, job.dataset = _redacted_text(job.file_name, identifiers), _redacted_text(job.dataset, identifiers)
    job.options = {name: _redacted_text(value, identifiers) for name, value in job.options.items()}
    job.problems, job.warnings = (
        [_redacted_notice(notice, identifiers) for notice in notices] for notices in (job.problems, job.warnings)
    )
    job.save(update_fields=["file_name", "dataset", "options", "problems", "warnings"])


def _redacted_text(text: Any, identifiers: Identifiers) -> Any:
    return "x" * len(text) if isinstance(text, str) and identifiers.find_mention(text) else text


def _redacted_notice(notice: dict[str, Any], identifiers: Identifiers) -> dict[str, Any]:
    if not identifiers.may_occur_in(as_text(notice)):
        return notice
    return {"code": notice["code"], "field": notice.get("field"), "message": ""}


def _rewrite_chunks(job: Import, spans: Collection[Span]) -> None:
    positions = {
        position for start, end in spans for position in range(start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES + 1)
    }
    for chunk in FileChunk.objects.filter(file_import=job, position__in=positions).iterator(chunk_size=10):
        content = _redacted_bytes(zlib.decompress(chunk.content), chunk.position * CHUNK_BYTES, spans)
        chunk.content = zlib.compress(content, COMPRESSION)
        chunk.save(update_fields=["content"])


def _rewrite_zip(job: Import, identifiers: Identifiers, files: Collection[tuple[StoredFile, list[Span]]]) -> None:
    """Write a new zip with only the files that an import reads."""
    with tempfile.TemporaryFile() as copy:
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, (file, spans) in enumerate(files, 1):
                file.content.seek(0)
                with archive.open(_redacted_name(file.name, number, identifiers), "w") as target:
                    for block in _redacted_blocks(file.content, spans):
                        target.write(block)
        copy.seek(0)
        replace_file(copy, job)


def _redacted_name(name: str, number: int, identifiers: Identifiers) -> str:
    """
    Return a name in a zip; if it names the person, its folders are replaced by ``number``.

    The last part of the name of a file that is read is fixed, and so never names a person.
    """
    return f"{number}/{PurePosixPath(name).name}" if identifiers.find_mention(name) else name


def _redacted_blocks(source: Any, spans: Collection[Span]) -> Iterator[bytes]:
    offset = 0
    while block := source.read(CHUNK_BYTES):
        yield _redacted_bytes(block, offset, spans)
        offset += len(block)


def _redacted_bytes(content: bytes, offset: int, spans: Collection[Span]) -> bytes:
    """Return a piece of a file that begins at the byte ``offset``, with the bytes of the spans in it redacted."""
    redacted = bytearray(content)
    for start, end in spans:
        first, last = max(start - offset, 0), min(end - offset, len(content))
        if first < last:
            redacted[first:last] = CELL_BYTES.sub(b"x", redacted[first:last])
    return bytes(redacted)


def _rewrite_pages(job: Import, identifiers: Identifiers, numbers: dict[str, set[int]]) -> int:
    """
    Delete the messages about these rows and every message that names the person.

    Return the number of rows about the person that are in no file.
    """
    synthetic_count = 0
    for page in OutcomePage.objects.filter(file_import=job).order_by("position").iterator(chunk_size=10):
        content, is_changed = unpack_page(page.content), False
        for index, (number, outcome, object_id, *texts) in enumerate(content["rows"]):
            is_synthetic = bool(texts and texts[2] and identifiers.occurs_in_cells(texts[2]))
            if texts and (
                is_synthetic or number in numbers.get(page.part, ()) or identifiers.may_occur_in(as_text(texts))
            ):
                content["rows"][index] = [number, outcome, object_id, *_redacted_result(*texts)]
                is_changed = True
                synthetic_count += is_synthetic
        if is_changed:
            page.content = zlib.compress(json.dumps(content).encode(), 1)
            page.save(update_fields=["content"])
    return synthetic_count


def _redacted_result(errors: list[list[Any]], note: str, raw: list[str] | None, parts: Any = None) -> list[Any]:
    return [[[code, field, ""] for code, field, *_message in errors], "", raw and ["x" * len(cell) for cell in raw]]
