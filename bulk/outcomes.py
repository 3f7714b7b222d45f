"""What became of rows, kept in pages: a few bytes for a row that went well, every error of one that did not."""

import hashlib
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bulk.importing import RowResult
from bulk.models import Import, OutcomePage
from school.refusals import Refusal

BATCH = 100  # pages inserted at once


class Told(NamedTuple):
    """What a page says of a row. ``raw`` has the cells of a row that stands in no file."""

    number: int
    outcome: str
    object_id: int | None = None
    errors: Sequence[tuple[str, str | None, str]] = ()  # code, field, message
    note: str = ""
    raw: list[str] | None = None


class Book:
    """
    The outcomes of a run, entered chunk by chunk.

    The pages wait in a temporary file: those of a run that is rolled back are written after it, and memory does not
    grow with the number of rows.
    """

    def __init__(self, file_import: Import, *, position: int = 0) -> None:
        self.file_import = file_import
        self.position = position
        self.counts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.digest = hashlib.sha256()
        self.waiting = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close

    def close(self) -> None:
        self.waiting.close()

    def enter(self, results: Sequence[RowResult], part: str = "") -> None:
        """Count a chunk of results and keep them for ``write``."""
        counts = Counter([result.outcome for result in results])
        self.counts += counts
        self.codes.update(error.code for result in results if result.errors for error in result.errors)
        self.digest.update("".join(map(_trace, results)).encode())
        page = json.dumps({"part": part, "counts": counts, "rows": [_packed(result) for result in results]})
        content = zlib.compress(page.encode(), 1)
        self.waiting.write(len(content).to_bytes(4, "big") + content)

    def write(self) -> None:
        """Write the pages that wait, within the caller's transaction."""
        self.waiting.seek(0)
        pages: list[OutcomePage] = []
        while length := self.waiting.read(4):
            content = self.waiting.read(int.from_bytes(length, "big"))
            page = json.loads(zlib.decompress(content))
            pages.append(
                OutcomePage(
                    file_import=self.file_import,
                    part=page["part"],
                    position=self.position,
                    counts=page["counts"],
                    content=content,
                )
            )
            self.position += 1
            if len(pages) == BATCH:
                OutcomePage.objects.bulk_create(pages)
                pages = []
        OutcomePage.objects.bulk_create(pages)
        self.waiting.seek(0)
        self.waiting.truncate()


def told_of(file_import: Import, *, part: str | None = None, outcome: str | None = None) -> Iterator[Told]:
    """Yield what is kept of an import's rows, in their order; only of one part, or with one outcome, if asked."""
    pages = OutcomePage.objects.filter(file_import=file_import)
    if part is not None:
        pages = pages.filter(part=part)
    if outcome is not None:
        pages = pages.filter(counts__has_key=outcome)
    for position in pages.values_list("position", flat=True):
        content = OutcomePage.objects.values_list("content", flat=True).get(file_import=file_import, position=position)
        for packed in json.loads(zlib.decompress(content))["rows"]:
            told = Told(*packed)
            if outcome is None or told.outcome == outcome:
                yield told


def _trace(result: RowResult) -> str:
    """Say what matters of a result: ids of new rows and wordings may differ from run to run."""
    codes = " ".join([error.code for error in result.errors]) if result.errors else ""
    return f"{result.row.number} {result.outcome} {codes}\n"


def _packed(result: RowResult) -> list[Any]:
    row = result.row
    packed = [row.number, result.outcome, result.object_id]
    if result.errors or result.note or row.is_made:
        packed += [[[e.code, e.field, e.message] for e in result.errors], result.note, row.raw if row.is_made else None]
    return packed


def refusal_of(error: Sequence[str | None]) -> Refusal:
    code, field, message = error
    return Refusal(str(code), str(message), field=field)
