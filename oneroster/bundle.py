"""
The CSV files of OneRoster 1.1 and 1.2 in a zip, written as a stream.

A bulk export has all objects that exist, and leaves their status and time of change blank. A delta export has the
objects that have changed since an instant, with both. The files of the standard that School does not write are named in
the manifest as absent.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from io import StringIO
from itertools import islice
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from oneroster import sourced_ids
from oneroster.mapping import NO_NAME, V1P1, V1P2, kinds
from oneroster.models import RecordStatus
from oneroster.visibility import context_for, records_in_scope
from school.access.row_scope import RowScope
from school.db.compiled_queries import ON_POSTGRESQL
from school.db.read_snapshot import read_snapshot

VERSIONS = (V1P1, V1P2)
ROWS_PER_PIECE = 1_000
PIECE_SIZE = 65_536  # bytes of the zip that are yielded together, or more
COMPRESSION_LEVEL = 3
FILES_OF_V1P1 = (
    "academicSessions",
    "categories",
    "classes",
    "classResources",
    "courses",
    "courseResources",
    "demographics",
    "enrollments",
    "lineItems",
    "orgs",
    "resources",
    "results",
    "users",
)
FILES_OF_V1P2 = (
    *FILES_OF_V1P1[:8],
    "lineItemLearningObjectiveIds",
    "lineItems",
    "lineItemScoreScales",
    "orgs",
    "resources",
    "resultLearningObjectiveIds",
    "results",
    "resultScoreScales",
    "roles",
    "scoreScales",
    "userProfiles",
    "userResources",
    "users",
)
MANIFEST_FILES = {V1P1: FILES_OF_V1P1, V1P2: FILES_OF_V1P2}

Cell = Callable[[Mapping[str, Any]], str]


class File(NamedTuple):
    """A file: its name, the kind of its objects, and the columns after id, status and time of change."""

    name: str
    kind: str
    columns: dict[str, Cell]


def _text(name: str, default: str = "") -> Cell:
    return lambda each: str(each.get(name, default))


def _reference(name: str) -> Cell:
    return lambda each: str(each[name]["sourcedId"]) if name in each else ""


def _references(name: str) -> Cell:
    return lambda each: ",".join(reference["sourcedId"] for reference in each[name])


def _columns(*names: str, **cells: Cell) -> dict[str, Cell]:
    """Return the columns in order. A name without a cell is a field of the object with this name, or blank."""
    return {name: cells.get(name, _text(name)) for name in names}


ACADEMIC_SESSIONS = File(
    "academicSessions",
    "academicSession",
    _columns(
        "title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear", parentSourcedId=_reference("parent")
    ),
)
CLASSES = File(
    "classes",
    "class",
    _columns(
        *("title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId"),
        *("termSourcedIds", "subjects", "subjectCodes", "periods"),
        courseSourcedId=_reference("course"),
        schoolSourcedId=_reference("school"),
        termSourcedIds=_references("terms"),
    ),
)
COURSES = File(
    "courses",
    "course",
    _columns(
        *("schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes"),
        orgSourcedId=_reference("org"),
    ),
)
ENROLLMENTS = File(
    "enrollments",
    "enrollment",
    _columns(
        *("classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate"),
        classSourcedId=_reference("class"),
        schoolSourcedId=_reference("school"),
        userSourcedId=_reference("user"),
    ),
)
ORGS = File("orgs", "org", _columns("name", "type", "identifier", "parentSourcedId"))
_USER = {"enabledUser": lambda each: str(each["enabledUser"]).lower(), "username": _text("username", NO_NAME)}
_PERSON = (
    *("username", "userIds", "givenName", "familyName", "middleName", "identifier", "email", "sms", "phone"),
    *("agentSourcedIds", "grades", "password"),
)
USERS_V1P1 = File(
    "users",
    "user",
    _columns("enabledUser", "orgSourcedIds", "role", *_PERSON, **_USER, orgSourcedIds=_references("orgs")),
)
USERS = File(
    "users",
    "user",
    _columns(
        "enabledUser",
        *_PERSON,
        *("userMasterIdentifier", "resourceSourcedIds", "preferredGivenName", "preferredMiddleName"),
        *("preferredFamilyName", "primaryOrgSourcedId", "pronouns"),
        **_USER,
        primaryOrgSourcedId=_reference("primaryOrg"),
    ),
)
ROLES = File(
    "roles",
    "user",
    _columns(
        *("userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId"),
        userSourcedId=_text("sourcedId"),
        roleType=lambda each: str(each["roles"][0]["roleType"]),
        role=lambda each: str(each["roles"][0]["role"]),
        orgSourcedId=lambda each: str(each["roles"][0]["org"]["sourcedId"]),
    ),
)
# Enrollments first: without one snapshot for all files, everything that they refer to is found later.
FILES = {
    V1P1: (ENROLLMENTS, USERS_V1P1, CLASSES, COURSES, ACADEMIC_SESSIONS, ORGS),
    V1P2: (ENROLLMENTS, ROLES, USERS, CLASSES, COURSES, ACADEMIC_SESSIONS, ORGS),
}


class _Sink:
    """A file object that a zip is written to, and that gives away what was written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0

    def write(self, piece: bytes) -> int:
        self.pieces.append(bytes(piece))
        self.size += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""

    def take(self) -> bytes:
        taken, self.pieces, self.size = b"".join(self.pieces), [], 0
        return taken


def stream_bundle(version: str, *, since: datetime | None = None, row_scope: RowScope | None = None) -> Iterator[bytes]:
    """
    Yield a zip with the published objects that a caller sees, or with those that have changed after ``since``.

    On PostgreSQL all files show one state of the database.
    """
    sink = _Sink()
    mode = "bulk" if since is None else "delta"
    # On SQLite, each statement sees its own moment. ZipFile takes any object that it can write to.
    with (
        read_snapshot() if ON_POSTGRESQL else nullcontext(),
        ZipFile(sink, "w", ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive,  # type: ignore[call-overload]
    ):
        archive.writestr(_entry("manifest"), _manifest(version, mode))
        for file in FILES[version]:
            with archive.open(_entry(file.name), "w") as entry:
                for lines in _lines(file, version, since, row_scope):
                    entry.write(lines.encode())
                    if sink.size > PIECE_SIZE:
                        yield sink.take()
    yield sink.take()


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(f"{name}.csv")
    entry.compress_type = ZIP_DEFLATED
    return entry


def _manifest(version: str, mode: str) -> str:
    written = {file.name for file in FILES[version]}
    files = [(f"file.{name}", mode if name in written else "absent") for name in MANIFEST_FILES[version]]
    rows = [
        ("propertyName", "value"),
        ("manifest.version", "1.0"),
        ("oneroster.version", version),
        *files,
        ("source.systemName", "School"),
        ("source.systemCode", ""),
    ]
    return _as_csv(rows)


def _lines(file: File, version: str, since: datetime | None, row_scope: RowScope | None) -> Iterator[str]:
    """Yield the file in pieces: its header, then its rows."""
    yield _as_csv([["sourcedId", "status", "dateLastModified", *file.columns]])
    kind = next(kind for kind in kinds(version) if kind.singular == file.kind)
    rows = records_in_scope(kind.model, row_scope).order_by("pk")
    rows = rows.filter(status=RecordStatus.ACTIVE) if since is None else rows.filter(modified_at__gt=since)
    objects = kind.objects(rows, context_for(version, "", row_scope), as_stream=True)
    cells = tuple(file.columns.values())
    while chunk := list(islice(objects, ROWS_PER_PIECE)):
        yield _as_csv([[*_first_cells(file, each, since), *(cell(each) for cell in cells)] for each in chunk])


def _first_cells(file: File, each: Mapping[str, Any], since: datetime | None) -> tuple[str, str, str]:
    sourced_id = each["sourcedId"]
    if file is ROLES:
        sourced_id = str(sourced_ids.role_id(sourced_id))
    return (sourced_id, "", "") if since is None else (sourced_id, each["status"], each["dateLastModified"])


def _as_csv(rows: Iterable[Sequence[str]]) -> str:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
