"""The base class of importers, and the functions that apply a chunk of rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO, ClassVar, Protocol

from django.utils.functional import Promise, cached_property

from bulk.files.csv_reader import Column, Row, Table, with_file_name
from bulk.files.duplicate_rows import RowKeyIndex
from bulk.import_file_store import open_stored
from bulk.models import Import, Mode
from bulk.roster_zips.manifest import Manifest
from bulk.row_results import ERROR, SKIPPED, RowResult
from school.access.row_scope import RowScope, row_scope_of_account
from school.refusals import Refusal

CHUNK_SIZE = 10_000
FLAG_SET = "true"  # the value of a flag that is set


@dataclass(frozen=True, slots=True)
class Option:
    """
    An option of one kind of file, in addition to the options of all kinds.

    ``label`` is the label of its form field, ``help`` explains the option. The first of ``choices`` is the default. A
    flag has the choices false and true; on the command line and in the admin it is set or not set. ``offered``
    returns the values, with labels, from which a user chooses in a form, by the id of the user. ``of_full`` is True for
    an option that only a full file has.
    """

    name: str
    label: str | Promise
    help: str | Promise
    choices: tuple[str, ...] = ()
    offered: Callable[[int | None], list[tuple[str, str]]] | None = None
    of_full: bool = False

    @property
    def is_flag(self) -> bool:
        return self.choices == ("false", FLAG_SET)


class Source(Protocol):
    """A source of rows: a file or, for an undo, the recorded changes of the import that is undone."""

    @property
    def header(self) -> list[str]: ...

    @property
    def separator(self) -> str: ...

    @property
    def warnings(self) -> list[Refusal]: ...

    def count(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...

    def chunks(self, size: int) -> Iterator[list[Row]]: ...


@dataclass(frozen=True)
class SyntheticRows:
    """Rows that are in no file. Each iteration generates them again."""

    header: list[str]
    generate: Callable[[], Iterator[Row]]
    separator: str = ","

    @property
    def warnings(self) -> list[Refusal]:
        return []

    def count(self) -> int:
        return sum(1 for _row in self)

    def __iter__(self) -> Iterator[Row]:
        return self.generate()

    def chunks(self, size: int) -> Iterator[list[Row]]:
        rows = iter(self)
        while chunk := list(islice(rows, size)):
            yield chunk


class Importer(ABC):
    """The base class of a kind of file: its columns, and how its rows are applied. An instance serves one import."""

    kind: ClassVar[str]
    file_names: ClassVar[tuple[str, ...]]  # the names of a file of this kind in a zip, without .csv
    columns: ClassVar[tuple[Column, ...]]
    example: ClassVar[Mapping[str, str]] = {}  # the columns of the template, with the cells of its only row
    id_column: ClassVar[str]
    key_columns: ClassVar[tuple[str, ...]]  # the columns that identify the object that a row is about
    modes: ClassVar[tuple[str, ...]] = (Mode.DELTA,)
    options: ClassVar[tuple[Option, ...]] = ()
    # Rights that only some rows require. Maps the name of a right to the scope of an API client and the permission of a
    # user.
    rights: ClassVar[Mapping[str, tuple[str, str]]] = {}
    # True if the importer keeps a limited sender within its limits. A limited sender cannot send any other kind of
    # file.
    enforces_limits: ClassVar[bool] = False
    undo_importer: ClassVar[type["Importer"]]
    # The files in a zip in which the importer only looks up references of its rows. Maps the name of such a file to its
    # columns.
    lookup_columns: ClassVar[Mapping[str, tuple[Column, ...]]] = {}
    # The name, without .csv, of the file of this kind in a zip with a manifest of OneRoster, and the importer of it if
    # it is not this class.
    roster_file: ClassVar[str] = ""
    roster_importer: ClassVar["type[Importer] | None"] = None
    # A function that returns a new importer for the file of a kind in the same import, even while another importer
    # reads that file.
    open_part: Callable[[str], "Importer | None"]

    def __init__(self, job: Import) -> None:
        self.job = job
        self.file: BinaryIO | None = None  # the file in a zip, or a local copy of the file; None for the stored file
        self.file_name = ""  # the name of the file in a zip
        self.lookup_files: dict[str, tuple[str, BinaryIO]] = {}  # the files in the zip that ``lookup_columns`` names
        self.manifest: Manifest | None = None  # the manifest of a zip of OneRoster

    @cached_property
    def row_scope(self) -> RowScope | None:
        """The row scope of the import's sender; None for unlimited access."""
        return row_scope_of_account(self.job.actor_id)

    def table(self) -> Table:
        """Return the file as a table; raise ``UnreadableFile``."""
        return Table(self.file or open_stored(self.job), self.columns, self.file_name)

    def lookup_table(self, name: str) -> Table | None:
        """
        Return a file in which references are only looked up; None if the zip does not have it.

        Raise ``UnreadableFile``.
        """
        if name not in self.lookup_files:
            return None
        full_name, content = self.lookup_files[name]
        return Table(content, self.lookup_columns[name], full_name)

    def check_lookup_files(self) -> None:
        """
        Read the files in which references are only looked up, before anything is applied; raise ``UnreadableFile``.
        """
        for name in self.lookup_files:
            table = self.lookup_table(name)
            assert table is not None
            table.count()

    def needs_lookup(self, name: str) -> bool:
        """
        Return True if references are looked up in a file that ``lookup_columns`` names. Raise ``UnreadableFile``.
        """
        return True

    def reopen(self) -> "Importer":
        """Return another importer for the same file, so that both can read the file at the same time."""
        importer = self.open_part(self.kind)
        assert importer is not None  # the file exists, because this importer reads it
        return importer

    def is_foreign(self) -> bool:
        """
        Return True if this file of a zip has the name of this kind, but content of another system that no kind reads.

        Raise ``UnreadableFile``.
        """
        return False

    def is_lookup_only(self) -> bool:
        """
        Return True if this file is not applied, but only looked up, when its zip has another file of this kind.

        Raise ``UnreadableFile``.
        """
        return False

    def source(self) -> Source:
        """Return the rows to apply; each iteration starts at the first row. Raise ``UnreadableFile``."""
        return self.table()

    def check(self) -> list[Refusal]:
        """Return the errors in the options and the scope of the import."""
        return []

    def begin_transaction(self) -> None:  # noqa: B027  # most kinds store nothing between two transactions
        """Start a transaction: reset what depended on the locks of an earlier transaction."""

    def skip_reason(self, row: Row) -> str:
        """Return the reason why a readable row is not imported but only reported; "" for a row that is imported."""
        return ""

    def resolve(self, rows: Sequence[Row], source: Source) -> None:  # noqa: B027  # most kinds refer to no other file
        """
        Replace references of rows of ``source`` to other files of the zip by keys.

        Called before all other methods. A reference that matches no row or several rows becomes a refusal in
        ``Row.unresolved``. A row with such a refusal is not applied.
        """

    @abstractmethod
    def row_keys(self, rows: Sequence[Row]) -> list[Hashable]:
        """Look up the objects of a chunk of rows, and return the key of each row. Called before ``apply``."""

    def row_content(self, cells: Mapping[str, str]) -> str:
        """
        Return the content of a row apart from its key.

        Two rows with the same content do not contradict each other.
        """
        content = [(name, cell) for name, cell in cells.items() if cell and name not in self.key_columns]
        return repr(sorted(content)) if content else ""

    @abstractmethod
    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        """Apply well-formed rows in order, within the caller's transaction; return a result for each."""

    def scope_size(self) -> int:
        """Return the number of objects in the scope of a full import: as many as it can drop at most."""
        return 0

    def record_listed(self, rows: Sequence[Row]) -> None:  # noqa: B027  # only for full imports
        """Record which objects the rows of a chunk of a full file name or may name. The chunk includes faulty rows."""

    def drop_unlisted(self) -> Iterable[list[RowResult]]:
        """
        Drop the objects that a full import has to drop, within the caller's transaction.

        Called after ``record_listed`` for the whole file and before its rows are applied. Yields the results about
        objects that the file does not list, chunk by chunk.
        """
        return ()

    def notices(self) -> list[Refusal]:
        """Return notices to the sender of the file about ``drop_unlisted``, in addition to its results."""
        return []

    def finish(self) -> None:  # noqa: B027  # most kinds have nothing to do after the last row
        """
        Do the work that remains after the last row, within the caller's transaction.

        It may be called more than once.
        """

    def close(self) -> None:  # noqa: B027  # most kinds have nothing to close
        """Close the resources that the importer has opened."""


def apply_rows(importer: Importer, rows: Sequence[Row], key_index: RowKeyIndex) -> list[RowResult]:
    """Apply a chunk of rows; return a result for each, in their order."""
    readable = [row for row in rows if not row.errors]
    conflicts = record_keys(importer, readable, key_index)
    skipped = {row.number: note for row in readable if (note := importer.skip_reason(row))}
    if len(readable) == len(rows) and not conflicts and not skipped:
        return _prefix_file_name(importer, importer.apply(readable))
    applied = iter(importer.apply([r for r in readable if r.number not in conflicts and r.number not in skipped]))
    results = []
    for row in rows:
        if row.number in skipped:
            results.append(RowResult(row, SKIPPED, note=skipped[row.number]))
            continue
        errors = (conflicts[row.number],) if row.number in conflicts else row.errors
        results.append(RowResult(row, ERROR, errors=errors) if errors else next(applied))
    return _prefix_file_name(importer, results)


def _prefix_file_name(importer: Importer, results: list[RowResult]) -> list[RowResult]:
    """Add the name of the file in the zip to the beginning of the error messages of its rows."""
    if importer.file_name:
        for result in results:
            errors = (
                replace(error, message=with_file_name(importer.file_name, error.message)) for error in result.errors
            )
            result.errors = tuple(errors)
    return results


def record_keys(importer: Importer, readable: Collection[Row], key_index: RowKeyIndex) -> dict[int, Refusal]:
    """Record the keys of rows, and return the refusals of rows that contradict an earlier row, by row number."""
    rows = [row for row in readable if not importer.skip_reason(row)]
    return key_index.conflicts(rows, importer.row_keys(rows), [importer.row_content(row.cells) for row in rows])
