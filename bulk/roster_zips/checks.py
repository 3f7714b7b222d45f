"""
Checks the files of a zip of OneRoster against its manifest and the standard, before anything is applied.

Every problem names the file, the row and the column. Ids are kept in a temporary table, so the memory used does not
grow with the files.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime
from itertools import islice
from typing import BinaryIO, NamedTuple

from bulk.files.cell_text import clean
from bulk.files.csv_reader import Column, Row, Table
from bulk.files.zip_reader import ZipContents, ZippedFile, read_zip
from bulk.roster_zips.binding import (
    ABSENT,
    ACTIVE,
    BULK,
    DELTA,
    EXTENSION,
    FILES,
    TO_BE_DELETED,
    V1P2,
    Field,
    RosterFile,
)
from bulk.roster_zips.manifest import (
    HEADER,
    Manifest,
    header_refusal,
    is_in_folder,
    manifest_of,
    not_a_choice,
    place,
)
from bulk.scratch_table import scratch_table
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, Refused

MAX_PROBLEMS = 100
CHUNK_SIZE = 10_000
USERS, ROLES = "users", "roles"


def check_roster_zip(source: BinaryIO, size: int, on_chunk: Callable[[], None]) -> None:
    """
    Check a zip of ``size`` bytes if it has a manifest of OneRoster; raise ``Refused`` with all problems.

    At most ``MAX_PROBLEMS`` are reported. ``on_chunk`` is called after each chunk of rows. Raise ``UnreadableFile`` for
    a file that is not CSV at all.
    """
    contents = read_zip(source, size)
    manifest = manifest_of(contents.tables)
    if manifest is None:
        return
    for problems in (
        [*_folder_problems(contents), *manifest.problems],
        _presence_problems(contents, manifest),
        _header_problems(contents, manifest),
        _row_problems(contents, manifest, on_chunk),
    ):
        # Each check relies on the checks before it.
        if first := list(islice(problems, MAX_PROBLEMS)):
            raise Refused(first)


def _folder_problems(contents: ZipContents) -> Iterator[Refusal]:
    for name in (*(table.name for table in contents.tables), *contents.other_files):
        if is_in_folder(name):
            message = _("%(file)s: The files of a zip of OneRoster must not be in a folder.") % {"file": name}
            yield Refusal("file_in_folder", message)


def _presence_problems(contents: ZipContents, manifest: Manifest) -> Iterator[Refusal]:
    """Yield the problems of files that the manifest declares and the zip lacks, or the other way round."""
    names: dict[str, list[str]] = {}
    for table in contents.tables:
        names.setdefault(table.stem, []).append(table.name)
    for key, (name, mode, row) in manifest.declarations.items():
        parts = {"file": f"{name}.csv", "mode": mode}
        if mode != ABSENT and key not in names:
            message = _("%(file)s is declared as %(mode)s, but the zip does not have it.") % parts
            yield place("missing_file", manifest.file_name, row, HEADER[1], message)
        elif mode == ABSENT and key in names:
            message = _("%(file)s is declared as absent, but the zip has it.") % parts
            yield place("undeclared_file", manifest.file_name, row, HEADER[1], message)
    for stem, same in names.items():
        if len(same) > 1:
            message = _("The zip has more than one file of %(kind)s: %(names)s. Send only one.")
            yield Refusal("duplicate_file", message % {"kind": stem, "names": ", ".join(same[:10])})
        if stem not in manifest.declarations and manifest.is_of_binding(stem):
            message = _("The zip has %(file)s, but no line declares it.") % {"file": same[0]}
            yield place("undeclared_file", manifest.file_name, None, HEADER[0], message)
    if manifest.version == V1P2 and manifest.mode(USERS) == BULK and not manifest.has(ROLES):
        message = _("%(file)s has the roles of the users of %(users)s. Declare it and add it to the zip.")
        parts = {"file": "roles.csv", "users": "users.csv"}
        declared = manifest.declarations.get(ROLES)
        yield place("missing_file", manifest.file_name, declared and declared.row, HEADER[1], message % parts)


def _tables(contents: ZipContents, manifest: Manifest) -> Iterator[tuple[RosterFile, Table]]:
    """Yield the files that are read, each after those that it refers to."""
    by_stem: dict[str, ZippedFile] = {table.stem: table for table in contents.tables}
    for file in FILES[manifest.version]:
        if manifest.has(file.name):
            name, content = by_stem[file.name.lower()]
            yield file, Table(content, [Column(field.name) for field in file.fields], name)


def _header_problems(contents: ZipContents, manifest: Manifest) -> Iterator[Refusal]:
    for file, table in _tables(contents, manifest):
        if table.separator != "," or not file.accepts_header(table.header):
            lacking = {field.name for field in file.fields if field.may_lack and field.name not in table.header}
            yield header_refusal(table, [field.name for field in file.fields if field.name not in lacking])


def _row_problems(contents: ZipContents, manifest: Manifest, on_chunk: Callable[[], None]) -> Iterator[Refusal]:
    with closing(scratch_table("ids (file TEXT, id TEXT, number INTEGER, PRIMARY KEY (file, id))")) as ids:
        for file, table in _tables(contents, manifest):
            for problems in _FileCheck(file, table, manifest, ids).problems():
                on_chunk()
                yield from problems


class _Problem(NamedTuple):
    code: str
    row: int
    column: str
    message: str


class _FileCheck:
    """The checks of one file. ``ids`` has the ids of the files before it, and gets those of this file."""

    def __init__(self, file: RosterFile, table: Table, manifest: Manifest, ids: sqlite3.Connection) -> None:
        self.file, self.table, self.manifest, self.ids = file, table, manifest, ids
        self.mode = manifest.mode(file.name)

    def problems(self) -> Iterator[Iterable[Refusal]]:
        """Yield the problems of the file, chunk by chunk."""
        columns = set(self.table.names)
        self.fields = [field for field in self.file.fields if field.name in columns]
        own = [field for field in self.fields if field.refers_to == self.file.name]
        self.checked = [field for field in self.fields if field.required or field.choices or field.is_date]
        other = [field for field in self.fields if field.refers_to not in ("", self.file.name)]
        for rows in self.table.chunks(CHUNK_SIZE):
            readable = [row for row in rows if not row.errors]
            found = [
                _Problem(each.code, row.number, each.field or "", each.message) for row in rows for each in row.errors
            ]
            found += [problem for row in readable for problem in self._cell_problems(row)]
            found += self._duplicates(readable)
            found += self._orphans(readable, other)
            yield self._placed(found)
        if own:  # a row may refer to a later row
            for rows in self.table.chunks(CHUNK_SIZE):
                yield self._placed(self._orphans([row for row in rows if not row.errors], own))
        if self.file.name == ROLES and self.mode == BULK and self.manifest.mode(USERS) == BULK:
            yield self._users_without_role()

    def _placed(self, problems: Iterable[_Problem]) -> Iterator[Refusal]:
        for code, row, column, message in sorted(problems, key=lambda problem: problem.row):
            yield place(code, self.table.name, row, column or self.fields[0].name, message)

    def _cell_problems(self, row: Row) -> Iterator[_Problem]:
        is_deleted = row.cells["status"] == TO_BE_DELETED
        yield from self._record_problems(row)
        for field in self.checked:
            cell = row.cells[field.name]
            if not cell:
                # A row that deletes a record has to name the record only.
                if field.required and (not is_deleted or field.name == "sourcedId"):
                    yield _Problem("blank", row.number, field.name, _("This cell must not be empty."))
            elif field.choices and not self._is_choice(field, cell):
                yield _Problem("invalid_choice", row.number, field.name, not_a_choice(cell, field.choices))
            elif field.is_date and not _is_date(cell):
                message = _("%(value)s is not a date. Write it like %(example)s.")
                parts = {"value": cell, "example": "2026-08-31"}
                yield _Problem("invalid", row.number, field.name, message % parts)

    def _record_problems(self, row: Row) -> Iterator[_Problem]:
        """Yield the problems of ``status`` and ``dateLastModified``, which only delta files fill."""
        status, modified = row.cells["status"], row.cells["dateLastModified"]
        message: str
        if self.mode != DELTA:
            for name, cell in (("status", status), ("dateLastModified", modified)):
                if cell:
                    message = _("This cell must be empty, because the manifest declares the file as bulk.")
                    yield _Problem("not_blank", row.number, name, message)
            return
        if status not in (ACTIVE, TO_BE_DELETED):
            message = not_a_choice(status, (ACTIVE, TO_BE_DELETED))
            yield _Problem("invalid_choice" if status else "blank", row.number, "status", message)
        example = {"example": "2026-08-31T09:00:00.000Z"}
        if not modified:
            message = _("Give an instant like %(example)s.") % example
            yield _Problem("blank", row.number, "dateLastModified", message)
        elif not _is_instant(modified):
            message = _("%(value)s is not an instant. Write it like %(example)s.") % {"value": modified, **example}
            yield _Problem("invalid", row.number, "dateLastModified", message)

    def _is_choice(self, field: Field, cell: str) -> bool:
        return cell in field.choices or (field.is_extensible and EXTENSION.fullmatch(cell) is not None)

    def _duplicates(self, rows: Sequence[Row]) -> Iterator[_Problem]:
        """Record the ids of rows, and yield a problem for each row with the id of an earlier row."""
        records = [(self.file.name, row.cells["sourcedId"], row.number) for row in rows if row.cells["sourcedId"]]
        before = self.ids.total_changes
        self.ids.executemany("INSERT INTO ids VALUES (?, ?, ?) ON CONFLICT DO NOTHING", records)
        if self.file.name == ROLES:
            roles = [(f"{USERS}.{ROLES}", row.cells["userSourcedId"], row.number) for row in rows]
            before_roles = self.ids.total_changes
            self.ids.executemany("INSERT INTO ids VALUES (?, ?, ?) ON CONFLICT DO NOTHING", roles)
            before += self.ids.total_changes - before_roles
        if self.ids.total_changes - before == len(records):
            return
        for name, row_id, number in records:
            [first] = self.ids.execute("SELECT number FROM ids WHERE file = ? AND id = ?", (name, row_id)).fetchone()
            if first != number:
                message = _("Row %(row)s has the same id %(id)s.") % {"row": first, "id": row_id}
                yield _Problem("duplicate_id", number, "sourcedId", message)

    def _orphans(self, rows: Sequence[Row], fields: Sequence[Field]) -> Iterator[_Problem]:
        """Yield a problem for each reference to a row that the zip should have and does not have."""
        for field in fields:
            known: dict[str, bool] = {}
            for row in rows:
                if not self._must_be_in_zip(field, row):
                    continue
                for row_id in _ids_in(field, row):
                    if row_id not in known:
                        known[row_id] = self._is_known(field.refers_to, row_id)
                    if not known[row_id]:
                        message = _("%(file)s has no row with the id %(id)s.")
                        parts = {"file": f"{field.refers_to}.csv", "id": row_id}
                        yield _Problem("unknown_reference", row.number, field.name, message % parts)

    def _must_be_in_zip(self, field: Field, row: Row) -> bool:
        """Return True if the zip has to have the row that a row refers to, because no earlier zip can have sent it."""
        if self.file.name == ROLES and field.refers_to == USERS and row.cells["role"] == "student":
            return True  # the role of a student is applied with the row of the user
        mode = self.manifest.mode(field.refers_to)
        is_deleted = row.cells["status"] == TO_BE_DELETED
        return not is_deleted and (mode == BULK or (mode == ABSENT and self.mode == BULK))

    def _is_known(self, file: str, row_id: str) -> bool:
        found = self.ids.execute("SELECT 1 FROM ids WHERE file = ? AND id = ?", (file, row_id)).fetchone()
        return found is not None

    def _users_without_role(self) -> Iterator[Refusal]:
        query = (
            "SELECT number FROM ids AS users WHERE file = ? AND NOT EXISTS "
            "(SELECT 1 FROM ids WHERE file = ? AND id = users.id) ORDER BY number"
        )
        message = _("%(file)s has no role of this user.") % {"file": self.table.name}
        for (number,) in self.ids.execute(query, (USERS, f"{USERS}.{ROLES}")):
            yield place("unknown_reference", f"{USERS}.csv", number, "sourcedId", message)


def _ids_in(field: Field, row: Row) -> list[str]:
    cell = row.cells[field.name]
    return [each for each in map(clean, cell.split(",")) if each] if field.is_list else [cell] if cell else []


def _is_date(cell: str) -> bool:
    try:
        return date.fromisoformat(cell).isoformat() == cell
    except ValueError:
        return False


def _is_instant(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return True
