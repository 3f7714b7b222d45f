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

from bulk.file_store import CHUNK_BYTES, COMPRESSION, replace_file
from bulk.models import ZIP, FileChunk, Import, OutcomePage
from bulk.personal_data.search import KeptFile, Words, contents_of, files_of, text_of, traces_in

SPELLED = re.compile(rb'[^,;\t"\r\n]')

Span = tuple[int, int]


def black_out(job: Import, words: Words) -> int:
    """Redact the rows of an import that are about a person, in the caller's transaction; return their number."""
    numbers: dict[str, set[int]] = {}
    spans: list[tuple[KeptFile, list[Span]]] = []
    for file in files_of(job):
        if file.columns is not None:
            traces = list(traces_in(file.content, words, file.columns))
            numbers.setdefault(file.part, set()).update(trace.number for trace in traces)
            spans.append((file, [(trace.start, trace.end) for trace in traces]))
    found = sum(len(own) for _file, own in spans)
    if job.kind == ZIP and not job.discarded_at:
        _rewrite_zip(job, words, spans)
    elif found:
        _rewrite_chunks(job, spans[0][1])
    black_out_notes(job, words)
    return found + _rewrite_pages(job, words, numbers)


def black_out_notes(job: Import, words: Words) -> None:
    """Redact the texts of the import itself that name a person: file name, dataset, options, problems, warnings."""
    job.file_name, job.dataset = _redacted(job.file_name, words), _redacted(job.dataset, words)
    job.options = {name: _redacted(value, words) for name, value in job.options.items()}
    job.problems, job.warnings = ([_note(note, words) for note in notes] for notes in (job.problems, job.warnings))
    job.save(update_fields=["file_name", "dataset", "options", "problems", "warnings"])


def _redacted(text: Any, words: Words) -> Any:
    return "x" * len(text) if isinstance(text, str) and words.mention_in(text) else text


def _note(note: dict[str, Any], words: Words) -> dict[str, Any]:
    if not words.may_be_in(text_of(note)):
        return note
    return {"code": note["code"], "field": note.get("field"), "message": ""}


def _rewrite_chunks(job: Import, spans: Collection[Span]) -> None:
    touched = {place for start, end in spans for place in range(start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES + 1)}
    for chunk in FileChunk.objects.filter(file_import=job, position__in=touched).iterator(chunk_size=10):
        content = _blackened(zlib.decompress(chunk.content), chunk.position * CHUNK_BYTES, spans)
        chunk.content = zlib.compress(content, COMPRESSION)
        chunk.save(update_fields=["content"])


def _rewrite_zip(job: Import, words: Words, files: Collection[tuple[KeptFile, list[Span]]]) -> None:
    """Write a new zip with only the files that an import reads."""
    with tempfile.TemporaryFile() as made:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
            for place, (file, spans) in enumerate(files, 1):
                file.content.seek(0)
                with new.open(_plain_name(file.name, place, words), "w") as target:
                    for piece in _pieces(file.content, spans):
                        target.write(piece)
        made.seek(0)
        replace_file(made, job)


def _plain_name(name: str, place: int, words: Words) -> str:
    """
    Return a name in a zip; if it names the person, its folders are replaced by ``place``.

    The last part of the name of a file that is read is fixed, and so never names a person.
    """
    return f"{place}/{PurePosixPath(name).name}" if words.mention_in(name) else name


def _pieces(source: Any, spans: Collection[Span]) -> Iterator[bytes]:
    offset = 0
    while piece := source.read(CHUNK_BYTES):
        yield _blackened(piece, offset, spans)
        offset += len(piece)


def _blackened(content: bytes, offset: int, spans: Collection[Span]) -> bytes:
    """Return a piece of a file that begins at the byte ``offset``, with the bytes of the spans in it redacted."""
    blackened = bytearray(content)
    for start, end in spans:
        first, last = max(start - offset, 0), min(end - offset, len(content))
        if first < last:
            blackened[first:last] = SPELLED.sub(b"x", blackened[first:last])
    return bytes(blackened)


def _rewrite_pages(job: Import, words: Words, numbers: dict[str, set[int]]) -> int:
    """
    Delete the messages about these rows and every message that names the person.

    Return the number of rows about the person that are in no file.
    """
    made = 0
    for page in OutcomePage.objects.filter(file_import=job).order_by("position").iterator(chunk_size=10):
        content, is_touched = contents_of(page.content), False
        for place, (number, outcome, object_id, *said) in enumerate(content["rows"]):
            is_made = bool(said and said[2] and words.name(said[2]))
            if said and (is_made or number in numbers.get(page.part, ()) or words.may_be_in(text_of(said))):
                content["rows"][place] = [number, outcome, object_id, *_without_words(*said)]
                is_touched = True
                made += is_made
        if is_touched:
            page.content = zlib.compress(json.dumps(content).encode(), 1)
            page.save(update_fields=["content"])
    return made


def _without_words(errors: list[list[Any]], note: str, raw: list[str] | None, parts: Any = None) -> list[Any]:
    return [[[code, field, ""] for code, field, *_message in errors], "", raw and ["x" * len(cell) for cell in raw]]
