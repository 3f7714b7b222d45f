"""Reads the manifest of a zip of OneRoster, which declares the version and each file as absent, bulk or delta."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import PurePosixPath
from typing import NamedTuple

from bulk.files.csv_reader import Column, Row, Table, UnreadableFile, with_file_name
from bulk.files.zip_reader import ZippedFile
from bulk.roster_zips.binding import ABSENT, BULK, DELTA, FILES, UNREAD_FILES, VERSIONS
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

MANIFEST = "manifest"
HEADER = ["propertyName", "value"]
MANIFEST_COLUMNS = tuple(map(Column, HEADER))
FILE_PREFIX = "file."
MANIFEST_VERSION, VERSION = "manifest.version", "oneroster.version"
VALUES = {MANIFEST_VERSION: ("1.0",), VERSION: VERSIONS}
MODES = (ABSENT, BULK, DELTA)
MAX_ROWS = 1_000


class Declaration(NamedTuple):
    """A line of the manifest about a file: the name of the file without .csv, its mode, and the row of the line."""

    name: str
    mode: str
    row: int


@dataclass(frozen=True)
class Manifest:
    """
    The manifest of a zip. ``declarations`` are by the names of the files without .csv, in lower case.

    ``problems`` are the reasons why the manifest cannot be used.
    """

    file_name: str
    version: str = ""
    declarations: dict[str, Declaration] = field(default_factory=dict)
    problems: Sequence[Refusal] = ()

    def mode(self, name: str) -> str:
        """Return the mode of a file by its name without .csv, in any case; a file without a line is absent."""
        declaration = self.declarations.get(name.lower())
        return declaration.mode if declaration else ABSENT

    def has(self, name: str) -> bool:
        """Return True if the manifest declares that the zip has a file."""
        return self.mode(name) != ABSENT

    def is_delta(self, name: str) -> bool:
        """Return True for a file with only the records that have changed."""
        return self.mode(name) == DELTA

    @property
    def unread_names(self) -> list[str]:
        """The names of the declared files that School does not read."""
        read = {file.name.lower() for file in FILES[self.version]}
        return [each.name for key, each in self.declarations.items() if each.mode != ABSENT and key not in read]

    def is_of_binding(self, name: str) -> bool:
        """Return True for the name, without .csv and in any case, of a file of this version."""
        names = [file.name for file in FILES[self.version]]
        return name.lower() in {each.lower() for each in (*names, *UNREAD_FILES[self.version])}


def place(code: str, file: str, row: int | None, column: str, message: str) -> Refusal:
    """Return a refusal whose message begins with the file, the row and the column that it is about."""
    message = _("%(field)s: %(message)s") % {"field": column, "message": message}
    if row:
        message = _("Row %(row)s: %(message)s") % {"row": row, "message": message}
    return Refusal(code, with_file_name(file, message), field=column)


def is_in_folder(name: str) -> bool:
    """Return True for the name of a file in a zip that is not at the root of the zip."""
    return len(PurePosixPath(name).parts) > 1


def manifest_of(tables: Sequence[ZippedFile]) -> Manifest | None:
    """
    Return the manifest of a zip, None if there is none. Raise ``UnreadableFile``.

    A manifest with problems is returned, so that all of them can be reported.
    """
    found = [table for table in tables if table.stem == MANIFEST]
    if not found:
        return None
    if len(found) > 1:
        message = _("The zip has more than one file of %(kind)s: %(names)s. Send only one.")
        names = ", ".join(each.name for each in found[:10])
        raise UnreadableFile("duplicate_file", message % {"kind": MANIFEST, "names": names})
    [file] = found
    return _read(Table(file.content, MANIFEST_COLUMNS, file.name))


def usable_manifest_of(tables: Sequence[ZippedFile]) -> Manifest | None:
    """
    Return the manifest of a zip, None if there is none.

    Raise ``UnreadableFile``, also for a manifest with problems.
    """
    manifest = manifest_of(tables)
    if manifest and manifest.problems:
        raise UnreadableFile(manifest.problems[0].code, manifest.problems[0].message)
    return manifest


def _read(table: Table) -> Manifest:
    file = table.name
    if table.header != HEADER or table.separator != ",":
        return Manifest(file, problems=[header_refusal(table, HEADER)])
    properties: dict[str, Row] = {}
    declarations: dict[str, Declaration] = {}
    problems: list[Refusal] = []
    for row in islice(table, MAX_ROWS):
        if row.errors:
            problems += [place(each.code, file, row.number, HEADER[0], each.message) for each in row.errors]
            continue
        name, value = (row.cells[column] for column in HEADER)
        if name.lower() in properties:
            message = _("Row %(row)s has the same property.") % {"row": properties[name.lower()].number}
            problems.append(place("duplicate_id", file, row.number, HEADER[0], message))
            continue
        properties[name.lower()] = row
        is_file = name.startswith(FILE_PREFIX)
        choices = MODES if is_file else VALUES.get(name, ())
        if choices and value not in choices:
            problems.append(place("invalid_choice", file, row.number, HEADER[1], not_a_choice(value, choices)))
        elif is_file:
            stem = name.removeprefix(FILE_PREFIX)
            declarations[stem.lower()] = Declaration(stem, value, row.number)
    for name in VALUES:
        if name not in properties:
            message = _("The line %(name)s is missing.") % {"name": name}
            problems.append(place("blank", file, None, HEADER[0], message))
    version = properties[VERSION].cells[HEADER[1]] if VERSION in properties else ""
    return Manifest(file, version, declarations, problems)


def not_a_choice(value: str, choices: Sequence[str]) -> str:
    """Return the message about a cell whose value is none of the choices."""
    if not value:
        return _("Give one of: %(choices)s.") % {"choices": ", ".join(choices)}
    return _("%(value)s is not one of: %(choices)s.") % {"value": value, "choices": ", ".join(choices)}


def header_refusal(table: Table, expected: Sequence[str]) -> Refusal:
    """Return the refusal of a file whose columns are not those of the standard in their order; it names the first."""
    if table.separator != ",":
        message = _("The columns must be separated by commas.")
        return place("wrong_header", table.name, table.header_number, expected[0], message)
    pairs = zip_longest(table.header, expected, fillvalue="")
    found, column = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    message = _("Here the header has “%(found)s” and not “%(column)s”. The header must be: %(header)s")
    message %= {"found": found, "column": column, "header": ",".join(expected)}
    return place("wrong_header", table.name, table.header_number, column or found, message)
