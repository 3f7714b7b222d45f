"""Stores the results of rows in pages: a few bytes for a row without errors, every error of a row with errors."""

import hashlib
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bulk.models import Import, OutcomePage
from bulk.outcomes import LEFT_OPEN, RowResult
from school.i18n.stored_messages import from_stored, parts_to_json, truncate_message
from school.refusals import Refusal

BATCH = 100  # pages inserted together


class Told(NamedTuple):
    """A stored result. ``raw`` has the cells of a row that is in no file. ``spoken`` translates the messages."""

    number: int
    outcome: str
    object_id: int | None = None
    errors: Sequence[tuple[str, str | None, str]] = ()  # code, field, message
    note: str = ""
    raw: list[str] | None = None


class Book:
    """
    Collects the results of a run, chunk by chunk.

    The pages are kept in a temporary file until ``write``: those of a run that is rolled back are written after the
    rollback, and memory does not grow with the number of rows.
    """

    def __init__(self, file_import: Import, *, position: int = 0) -> None:
        self.file_import = file_import
        self.position = position
        self.counts: Counter[str] = Counter()
        self.rows = 0  # rows of the file, without objects that it does not list
        self.digest = hashlib.sha256()
        self.waiting = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close

    def close(self) -> None:
        self.waiting.close()

    def enter(self, results: Sequence[RowResult], part: str = "") -> None:
        """Count a chunk of results and keep them for ``write``."""
        counts = Counter([result.outcome for result in results])
        self.counts += counts
        self.rows += sum(result.is_of_file for result in results)
        self.digest.update("".join(_trace(result) for result in results if result.outcome not in LEFT_OPEN).encode())
        page = json.dumps({"part": part, "counts": counts, "rows": [_packed(result) for result in results]})
        content = zlib.compress(page.encode(), 1)
        self.waiting.write(len(content).to_bytes(4, "big") + content)

    def write(self) -> None:
        """Write the collected pages to the database, within the caller's transaction."""
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
    """Yield the stored results of an import in order, optionally only those of one part or with one outcome."""
    pages = OutcomePage.objects.filter(file_import=file_import)
    if part is not None:
        pages = pages.filter(part=part)
    if outcome is not None:
        pages = pages.filter(counts__has_key=outcome)
    for position in pages.values_list("position", flat=True):
        content = OutcomePage.objects.values_list("content", flat=True).get(file_import=file_import, position=position)
        for row in json.loads(zlib.decompress(content))["rows"]:
            told = _told(*row)
            if outcome is None or told.outcome == outcome:
                yield told


def _told(
    number: int,
    outcome: str,
    object_id: int | None,
    errors: Any = (),
    note: str = "",
    raw: Any = None,
    parts: Any = None,
) -> Told:
    found = [(code, field, from_stored(message, own[0] if own else None)) for code, field, message, *own in errors]
    return Told(number, outcome, object_id, found, from_stored(note, parts), raw)


def _trace(result: RowResult) -> str:
    """
    Return the part of a result that an approval covers: row number, outcome and error codes.

    The ids of new objects and the texts of messages are left out, because they may differ from run to run. A result
    about an object that the file does not list is identified by the object's id.
    """
    codes = " ".join([error.code for error in result.errors]) if result.errors else ""
    about = result.row.number if result.is_of_file else f"id {result.object_id}"
    return f"{about} {result.outcome} {codes}\n"


def _packed(result: RowResult) -> list[Any]:
    row = result.row
    made = [row.number, result.outcome, result.object_id]
    if result.errors or result.note or row.is_made:
        errors = [[e.code, e.field, truncate_message(e.message), parts_to_json(e.message)] for e in result.errors]
        made += [errors, truncate_message(result.note), row.raw if row.is_made else None, parts_to_json(result.note)]
    return made


def refusal_of(error: Sequence[str | None]) -> Refusal:
    code, field, message = error
    return Refusal(str(code), message or "", field=field)
