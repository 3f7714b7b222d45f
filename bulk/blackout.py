"""
Blacking out the rows of a kept import that are about somebody, where they stand.

Every character of such a row becomes an "x" and its separators stay, so that the other rows keep their place and their
number. What was said of the row keeps its outcome and its codes, and loses its words.
"""

import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from bulk.models import ZIP, FileChunk, Import, OutcomePage
from bulk.storage import CHUNK_BYTES, COMPRESSION, open_kept, put_back
from bulk.traces import Words, contents_of, files_of, makes_rows, traces_in
from bulk.zips import is_table

SPELLED = re.compile(rb'[^,;\t"\r\n]')

Span = tuple[int, int]


def black_out(job: Import, words: Words) -> int:
    """Black out what an import has about somebody, within the caller's transaction; return how many rows."""
    numbers: dict[str, set[int]] = {}
    spans: list[list[Span]] = []  # of each file
    for part, file in files_of(job):
        traces = list(traces_in(file, words))
        numbers.setdefault(part, set()).update(trace.number for trace in traces)
        spans.append([(trace.start, trace.end) for trace in traces])
    found = sum(map(len, spans))
    if found and job.kind == ZIP:
        _rewrite_zip(job, spans)
    elif found:
        _rewrite_chunks(job, spans[0])
    return found + _rewrite_pages(job, words, numbers)


def _rewrite_chunks(job: Import, spans: Collection[Span]) -> None:
    touched = {place for start, end in spans for place in range(start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES + 1)}
    for chunk in FileChunk.objects.filter(file_import=job, position__in=touched).iterator(chunk_size=10):
        content = _blackened(zlib.decompress(chunk.content), chunk.position * CHUNK_BYTES, spans)
        chunk.content = zlib.compress(content, COMPRESSION)
        chunk.save(update_fields=["content"])


def _rewrite_zip(job: Import, spans: Iterable[Collection[Span]]) -> None:
    of_tables = iter(spans)
    with tempfile.TemporaryFile() as made:
        with zipfile.ZipFile(open_kept(job)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
            for info in old.infolist():
                own = next(of_tables) if is_table(info.filename) else ()
                with old.open(info) as source, new.open(info.filename, "w") as target:
                    for piece in _pieces(source, own):
                        target.write(piece)
        made.seek(0)
        put_back(made, job)


def _pieces(source: Any, spans: Collection[Span]) -> Iterator[bytes]:
    offset = 0
    while piece := source.read(CHUNK_BYTES):
        yield _blackened(piece, offset, spans)
        offset += len(piece)


def _blackened(content: bytes, offset: int, spans: Collection[Span]) -> bytes:
    """Return a piece of a file that begins at ``offset``, with the spans blacked out as far as they lie in it."""
    blackened = bytearray(content)
    for start, end in spans:
        first, last = max(start - offset, 0), min(end - offset, len(content))
        if first < last:
            blackened[first:last] = SPELLED.sub(b"x", blackened[first:last])
    return bytes(blackened)


def _rewrite_pages(job: Import, words: Words, numbers: dict[str, set[int]]) -> int:
    """Take the words out of what was said of these rows and of rows in no file; return how many of the latter."""
    made = 0
    if not (any(numbers.values()) or makes_rows(job)):
        return made
    for page in OutcomePage.objects.filter(file_import=job).order_by("position").iterator(chunk_size=10):
        content, is_touched = contents_of(page.content), False
        for place, (number, outcome, object_id, *said) in enumerate(content["rows"]):
            is_made = bool(said and said[2] and words.name(said[2]))
            if said and (is_made or number in numbers.get(page.part, ())):
                content["rows"][place] = [number, outcome, object_id, *_without_words(*said)]
                is_touched = True
                made += is_made
        if is_touched:
            page.content = zlib.compress(json.dumps(content).encode(), 1)
            page.save(update_fields=["content"])
    return made


def _without_words(errors: list[list[str]], note: str, raw: list[str] | None) -> list[Any]:
    return [[[code, field, ""] for code, field, _message in errors], "", raw and ["x" * len(cell) for cell in raw]]
