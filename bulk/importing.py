"""Kinds of files: what an importer is, and how a chunk of rows goes through it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, ClassVar, Protocol

from django.utils.functional import Promise, cached_property

from bulk.duplicates import FirstRows
from bulk.models import Import, Mode
from bulk.reading import Column, Row, Table
from bulk.storage import open_kept
from school.limits import Limits, limits_of_account
from school.refusals import Refusal

CHUNK = 10_000
ERROR = "error"
DROPPED = "dropped"


@dataclass(slots=True)
class RowResult:
    """What became of a row: an outcome in one word, with what more there is to say of it, or every error."""

    row: Row
    outcome: str
    object_id: int | None = None
    errors: tuple[Refusal, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """A choice that a kind of file offers, beside those that all of them have. The first of ``choices`` is usual."""

    name: str
    help: str | Promise
    choices: tuple[str, ...] = ()


class Source(Protocol):
    """Where rows come from: a file, or the journal for what takes an import back."""

    @property
    def header(self) -> list[str]: ...

    @property
    def separator(self) -> str: ...

    @property
    def unknown_columns(self) -> list[str]: ...

    def count(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...

    def chunks(self, size: int) -> Iterator[list[Row]]: ...


@dataclass(frozen=True)
class MadeRows:
    """Rows that stand in no file, made anew each time that they are read."""

    header: list[str]
    make: Callable[[], Iterator[Row]]
    separator: str = ","

    @property
    def unknown_columns(self) -> list[str]:
        return []

    def count(self) -> int:
        return sum(1 for _row in self)

    def __iter__(self) -> Iterator[Row]:
        return self.make()

    def chunks(self, size: int) -> Iterator[list[Row]]:
        rows = iter(self)
        while chunk := list(islice(rows, size)):
            yield chunk


class Importer(ABC):
    """A kind of file: its columns, and how a chunk of its rows is applied. An object of it works for one import."""

    kind: ClassVar[str]
    file_names: ClassVar[tuple[str, ...]]  # what such a file is called in a zip, without the .csv
    columns: ClassVar[tuple[Column, ...]]
    id_column: ClassVar[str]
    key_columns: ClassVar[tuple[str, ...]]  # the columns that say what a row is about
    modes: ClassVar[tuple[str, ...]] = (Mode.DELTA,)
    options: ClassVar[tuple[Option, ...]] = ()
    # What the file may do only for who may it: by name the scope of a program and the permission of a person.
    rights: ClassVar[Mapping[str, tuple[str, str]]] = {}
    # Whether its rows keep within what a client is limited to; other kinds of files are not for limited clients.
    keeps_limits: ClassVar[bool] = False
    undoer: ClassVar[type["Importer"]]

    def __init__(self, job: Import) -> None:
        self.job = job
        self.file: BinaryIO | None = None  # the one in a zip, or a copy at hand; else the one that is kept

    @cached_property
    def limits(self) -> Limits | None:
        """What the sender of the import is limited to by now."""
        return limits_of_account(self.job.actor_id)

    def table(self) -> Table:
        """Return the file under its header; raise ``UnreadableFile``."""
        return Table(self.file or open_kept(self.job), self.columns)

    def source(self) -> Source:
        """Return the rows to apply, from the first on each time that they are read. Raise ``UnreadableFile``."""
        return self.table()

    def check(self) -> list[Refusal]:
        """Return what is wrong with the options and the scope of the import."""
        return []

    def begin(self) -> None:  # noqa: B027  # most kinds keep nothing from one transaction to the next
        """Start a transaction: what was locked in an earlier one is not any more."""

    @abstractmethod
    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        """Look up what a chunk of rows is about, and return its key for each row. ``apply`` comes next."""

    @abstractmethod
    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        """Apply well-formed rows in their order, within the caller's transaction; a result for each."""

    def size_of_scope(self) -> int:
        """Return how much there is, in a full import's scope, that could end."""
        return 0

    def end_unlisted(self, is_listed: Callable[[Hashable], bool]) -> Iterable[list[RowResult]]:
        """End what the scope of a full import has and its file has not, chunk by chunk, when all rows are through."""
        return ()

    def finish(self) -> None:  # noqa: B027  # most kinds have nothing left to do
        """Do what is left when all rows are through, within the caller's transaction."""


def apply_rows(importer: Importer, rows: Sequence[Row], first_rows: FirstRows) -> list[RowResult]:
    """Apply a chunk of rows; a result for each, in their order."""
    readable = [row for row in rows if not row.errors]
    objections = note_keys(importer, readable, first_rows)
    if len(readable) == len(rows) and not objections:
        return importer.apply(readable)
    applied = iter(importer.apply([row for row in readable if row.number not in objections]))
    results = []
    for row in rows:
        errors = (objections[row.number],) if row.number in objections else row.errors
        results.append(RowResult(row, ERROR, errors=errors) if errors else next(applied))
    return results


def note_keys(importer: Importer, readable: Collection[Row], first_rows: FirstRows) -> dict[int, Refusal]:
    """Note what rows are about, and return the objections to those that contradict an earlier one, by row number."""
    rows = list(readable)
    return first_rows.objections(rows, importer.keys(rows), importer.key_columns)
