"""Stores the results of rows in pages: a few bytes for a row without errors, every error of a row with errors."""

import hashlib
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bulk.models import Import, OutcomePage
from bulk.row_results import KEPT_OUTCOMES, RowResult
from school.i18n.stored_messages import from_stored, parts_to_json, truncate_message
from school.refusals import Refusal

INSERT_BATCH_SIZE = 100  # the number of pages that are inserted together


class StoredResult(NamedTuple):
    """A stored result. ``raw`` has the cells of a row that is in no file."""

    number: int
    outcome: str
    object_id: int | None = None
    errors: Sequence[tuple[str, str | None, str]] = ()  # each error has a code, a field and a message
    note: str = ""
    raw: list[str] | None = None


class ResultWriter:
    """
    Collects the results of a run, chunk by chunk.

    The pages are kept in a temporary file until ``write``, so memory does not grow with the number of rows. The pages
    of a run that is rolled back are written after the rollback.
    """

    def __init__(self, file_import: Import, *, position: int = 0) -> None:
        self.file_import = file_import
        self.position = position
        self.counts: Counter[str] = Counter()
        self.rows = 0  # the number of rows of the file, without the objects that the file does not list
        self.digest = hashlib.sha256()
        self.buffer = tempfile.TemporaryFile()  # noqa: SIM115  # ``close`` closes the file

    def close(self) -> None:
        self.buffer.close()

    def add(self, results: Sequence[RowResult], part: str = "") -> None:
        """Count a chunk of results and keep them for ``write``."""
        counts = Counter([result.outcome for result in results])
        self.counts += counts
        self.rows += sum(result.is_from_file for result in results)
        self.digest.update(
            "".join(_fingerprint_line(result) for result in results if result.outcome not in KEPT_OUTCOMES).encode()
        )
        page = json.dumps({"part": part, "counts": counts, "rows": [_serialized(result) for result in results]})
        content = zlib.compress(page.encode(), 1)
        self.buffer.write(len(content).to_bytes(4, "big") + content)

    def write(self) -> None:
        """Write the collected pages to the database, within the caller's transaction."""
        self.buffer.seek(0)
        pages: list[OutcomePage] = []
        while length := self.buffer.read(4):
            content = self.buffer.read(int.from_bytes(length, "big"))
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
            if len(pages) == INSERT_BATCH_SIZE:
                OutcomePage.objects.bulk_create(pages)
                pages = []
        OutcomePage.objects.bulk_create(pages)
        self.buffer.seek(0)
        self.buffer.truncate()


def stored_results(
    file_import: Import, *, part: str | None = None, outcome: str | None = None
) -> Iterator[StoredResult]:
    """Yield the stored results of an import in order, optionally only those of one part or with one outcome."""
    pages = OutcomePage.objects.filter(file_import=file_import)
    if part is not None:
        pages = pages.filter(part=part)
    if outcome is not None:
        pages = pages.filter(counts__has_key=outcome)
    for position in pages.values_list("position", flat=True):
        content = OutcomePage.objects.values_list("content", flat=True).get(file_import=file_import, position=position)
        for row in json.loads(zlib.decompress(content))["rows"]:
            result = _stored_result(*row)
            if outcome is None or result.outcome == outcome:
                yield result


def counts_by_part(file_import: Import) -> dict[str, Counter[str]]:
    """Return the numbers of results by outcome, for each part that has results."""
    counts: dict[str, Counter[str]] = {}
    for part, of_page in OutcomePage.objects.filter(file_import=file_import).values_list("part", "counts"):
        counts.setdefault(part, Counter()).update(of_page)
    return counts


def results_from(file_import: Import, start: int, *, part: str, outcome: str = "") -> Iterator[StoredResult]:
    """
    Yield the results of a part from a position on, counted from 0; with ``outcome``, only those with this outcome.

    Pages before the position are counted and not read.
    """
    pages = OutcomePage.objects.filter(file_import=file_import, part=part)
    for position, counts in pages.values_list("position", "counts"):
        on_page = counts.get(outcome, 0) if outcome else sum(counts.values())
        if start >= on_page:
            start -= on_page
            continue
        content = OutcomePage.objects.values_list("content", flat=True).get(file_import=file_import, position=position)
        rows = [_stored_result(*row) for row in json.loads(zlib.decompress(content))["rows"]]
        yield from [row for row in rows if not outcome or row.outcome == outcome][start:]
        start = 0


def _stored_result(
    number: int,
    outcome: str,
    object_id: int | None,
    errors: Any = (),
    note: str = "",
    raw: Any = None,
    parts: Any = None,
) -> StoredResult:
    restored_errors = [
        (code, field, from_stored(message, message_parts[0] if message_parts else None))
        for code, field, message, *message_parts in errors
    ]
    return StoredResult(number, outcome, object_id, restored_errors, from_stored(note, parts), raw)


def _fingerprint_line(result: RowResult) -> str:
    """
    Return the part of a result that an approval covers: row number, outcome and error codes.

    The ids of new objects and the texts of messages are left out, because they may differ from run to run. A result
    about an object that the file does not list is identified by the object's id.
    """
    codes = " ".join([error.code for error in result.errors]) if result.errors else ""
    identity = result.row.number if result.is_from_file else f"id {result.object_id}"
    return f"{identity} {result.outcome} {codes}\n"


def _serialized(result: RowResult) -> list[Any]:
    row = result.row
    number = row.number if row.file_number is None else row.file_number
    values = [number, result.outcome, result.object_id]
    if result.errors or result.note or row.is_synthetic:
        errors = [[e.code, e.field, truncate_message(e.message), parts_to_json(e.message)] for e in result.errors]
        values += [
            errors,
            truncate_message(result.note),
            row.raw if row.is_synthetic else None,
            parts_to_json(result.note),
        ]
    return values


def refusal_from_stored(error: Sequence[str | None]) -> Refusal:
    code, field, message = error
    return Refusal(str(code), message or "", field=field)
