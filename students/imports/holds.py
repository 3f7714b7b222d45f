"""
The importer for files of holds, and its undo.

A full file releases the holds of its source that it does not list.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from bulk.files.csv_reader import Column, Row
from bulk.importers.base import CHUNK_SIZE, Importer, SyntheticRows
from bulk.importers.cell_values import parse_cell, refusals_from
from bulk.importers.undo_report_row_numbers import FileRowNumbers
from bulk.models import Import, Mode
from bulk.row_results import (
    CREATED,
    ERROR,
    KEPT,
    KEPT_MANUAL,
    KEPT_OTHER_SOURCE,
    KEPT_UNCERTAIN,
    RELEASED,
    REVERSED,
    UNCHANGED,
    UPDATED,
    RowResult,
)
from bulk.scratch_table import scratch_table
from courses.lookup import term_not_found
from courses.models import Term
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from school.text_normalization import normalized
from students.holds import HoldKey, RequestedHold, dates_refusals, key_of, place_holds, release_holds, undo_hold_import
from students.imports.actor import actor_from_import
from students.lookup import student_ids_by_number, students_not_found
from students.models import Hold, Student

PLACED, RELEASED_STATUS = "placed", "released"
STATUSES = {"": PLACED, "placed": PLACED, "active": PLACED, "released": RELEASED_STATUS, "deleted": RELEASED_STATUS}
VALUES = {"reason": "reason", "from": "starts_on", "until": "ends_on"}  # maps a column to its field
EVERYTHING, BY_CODE = "all", "code:"  # the scopes of a full file
UNKNOWN_STUDENT = 0  # the id in place of a student that a faulty row does not identify


class ListedHolds:
    """The holds that the rows of a full file list, in a temporary table."""

    def __init__(self) -> None:
        self.rows = scratch_table(
            "listed (student_id INTEGER, code TEXT, term_id INTEGER, is_faulty INTEGER, number INTEGER, "
            "PRIMARY KEY (student_id, code, term_id, is_faulty))"
        )

    def add(self, key: HoldKey, number: int, *, is_faulty: bool = False) -> None:
        """Add a row. The code of a faulty row that does not name one is empty."""
        student_id, code, term_id = key
        values = (student_id, code, term_id or 0, is_faulty, number)
        self.rows.execute("INSERT INTO listed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values)

    def has(self, hold: Hold) -> bool:
        student_id, code, term_id = key_of(hold)
        sql = "SELECT 1 FROM listed WHERE student_id = ? AND code = ? AND term_id = ? AND NOT is_faulty"
        return self.rows.execute(sql, (student_id, code, term_id or 0)).fetchone() is not None

    def ambiguous_row(self, hold: Hold) -> int | None:
        """Return the number of a faulty row that may be about this hold; None if there is none."""
        sql = "SELECT number FROM listed WHERE student_id IN (?, ?) AND code IN (?, '') AND is_faulty"
        row = self.rows.execute(sql, (hold.student_id, UNKNOWN_STUDENT, hold.code)).fetchone()
        return None if row is None else int(row[0])

    def close(self) -> None:
        self.rows.close()


class HoldUndo(Importer):
    """Undoes an import of holds: those that it has placed are released, those that it has released are open again."""

    kind = "holds"
    id_column = "hold_id"
    key_columns = ("id",)
    columns = ()

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        assert job.undoes is not None  # a database constraint requires it for every undo
        self.original_import = job.undoes
        self.actor = actor_from_import(job)

    def source(self) -> SyntheticRows:
        return SyntheticRows(["student_number", "code", "term"], self._rows)

    def _rows(self) -> Iterator[Row]:
        changed = Hold.objects.filter(Q(placed_import=self.original_import) | Q(released_import=self.original_import))
        holds = changed.select_related("student", "term").order_by("-pk")
        chunk, number = list(holds[:CHUNK_SIZE]), 1
        while chunk:
            file_numbers = self._file_row_numbers.of([hold.pk for hold in chunk])
            for hold in chunk:
                number += 1
                file_number = file_numbers.get(hold.pk, 0)
                yield Row(number, _key_cells(hold), {"id": str(hold.pk)}, is_synthetic=True, file_number=file_number)
            chunk = list(holds.filter(pk__lt=chunk[-1].pk)[:CHUNK_SIZE])

    @cached_property
    def _file_row_numbers(self) -> FileRowNumbers:
        return FileRowNumbers(self.original_import, self.kind)

    def close(self) -> None:
        if numbers := vars(self).pop("_file_row_numbers", None):
            numbers.close()

    def row_keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [row.cells["id"] for row in rows]

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        ids = {int(row.cells["id"]) for row in rows}
        undone = undo_hold_import(self.original_import.pk, ids, actor=self.actor)
        kept = (Refusal("changed_since", _("It has been changed since the import.")),)
        return [
            RowResult(row, REVERSED, pk) if (pk := int(row.cells["id"])) in undone else RowResult(row, KEPT, pk, kept)
            for row in rows
        ]


class HoldImporter(Importer):
    """
    Imports a file of holds.

    A row states that a student has a hold, or with the status ``released`` that the student has it no longer. A row
    with other values than the open hold with its key replaces this hold. Columns that the file lacks keep the values of
    the open hold.
    """

    kind = "holds"
    file_names = ("holds",)
    id_column = "hold_id"
    key_columns = ("student_number", "code", "term")
    modes = (Mode.DELTA, Mode.FULL)
    undo_importer = HoldUndo
    columns = (
        Column("student_number", required=True),
        Column("code", required=True, aliases=("hold_code",)),
        Column("term"),
        Column("reason"),
        Column("from", aliases=("starts_on",)),
        Column("until", aliases=("ends_on",)),
        Column("status"),
    )
    example: ClassVar[Mapping[str, str]] = {
        "student_number": "S-1042",
        "code": "LIBRARY",
        "term": "",
        "reason": "Two books are overdue.",
        "from": "2026-09-01",
        "until": "2026-12-31",
        "status": "placed",
    }

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.actor = actor_from_import(job)
        self.student_ids: dict[str, int] = {}
        self.terms: dict[str, int] = {}
        self.students_not_found: dict[str, Refusal] = {}

    def check(self) -> list[Refusal]:
        if self.job.mode != Mode.FULL or self.job.scope == EVERYTHING or self._scope_code:
            return []
        message = _("The scope of a full file of holds is all, or code:CODE.")
        return [Refusal("invalid_scope", message, field="scope")]

    @property
    def _scope_code(self) -> str:
        """The code that a full file is limited to; "" if it is not."""
        return normalized(self.job.scope.removeprefix(BY_CODE)) if self.job.scope.startswith(BY_CODE) else ""

    def row_keys(self, rows: Sequence[Row]) -> list[Hashable]:
        numbers = {row.cells["student_number"] for row in rows}
        self.student_ids = student_ids_by_number(numbers)
        unknown = numbers - self.student_ids.keys() - {""}
        self.students_not_found = students_not_found(unknown, Student.objects.all()) if unknown else {}
        codes = {row.cells.get("term", "") for row in rows} - {""}
        self.terms = dict(Term.objects.filter(code__any_of=list(codes)).values_list("code", "pk"))
        return [tuple(row.cells.get(name, "") for name in self.key_columns) for row in rows]

    def row_content(self, cells: Mapping[str, str]) -> str:
        status = STATUSES.get(cells.get("status", "").lower(), cells.get("status", ""))
        return repr([status, *(cells.get(name, "") for name in VALUES)])

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        students = {self.student_ids.get(row.cells["student_number"], UNKNOWN_STUDENT) for row in rows}
        open_holds = {key_of(hold): hold for hold in Hold.objects.open().filter(student__pk__any_of=list(students))}
        results: dict[int, RowResult] = {}
        placing: dict[int, RequestedHold] = {}
        releasing: dict[int, Hold] = {}
        for index, row in enumerate(rows):
            requested = self._parse_row(row, open_holds)
            if not isinstance(requested, RequestedHold):
                results[index] = RowResult(row, ERROR, errors=tuple(requested))
            elif STATUSES[row.cells.get("status", "").lower()] == PLACED:
                placing[index] = requested
            elif hold := open_holds.get(requested.key):
                releasing[index] = hold
            else:
                results[index] = RowResult(row, UNCHANGED)
        for index, placement in zip(
            placing, place_holds([*placing.values()], actor=self.actor, replacing=True), strict=True
        ):
            outcome = UPDATED if placement.replaced else CREATED if placement.created else UNCHANGED
            pk = placement.hold.pk if placement.hold else None
            errors = tuple(each.with_field("student_number") for each in placement.refusals)
            results[index] = RowResult(rows[index], ERROR if errors else outcome, pk, errors)
        release_holds([hold.pk for hold in releasing.values()], actor=self.actor)
        for index, hold in releasing.items():
            results[index] = RowResult(rows[index], RELEASED, hold.pk)
        return [results[index] for index in range(len(rows))]

    def _parse_row(self, row: Row, open_holds: Mapping[HoldKey, Hold]) -> RequestedHold | list[Refusal]:
        """Return the hold of a row, or every reason why the row is not valid."""
        errors: list[Refusal] = []
        number, term = row.cells["student_number"], row.cells.get("term", "")
        if not number:
            errors.append(Refusal("blank", _("This row has no student."), field="student_number"))
        elif number not in self.student_ids:
            errors.append(self.students_not_found[number].with_field("student_number"))
        code = _parse("code", "code", row, errors)
        if term and term not in self.terms:
            errors.append(term_not_found(f"code:{term}", Term.objects.all()).with_field("term"))
        if row.cells.get("status", "").lower() not in STATUSES:
            message = _("%(status)s is not one of: %(choices)s.")
            parts = {"status": row.cells["status"], "choices": f"{PLACED}, {RELEASED_STATUS}"}
            errors.append(Refusal("invalid_choice", message % parts, field="status"))
        if code and self._scope_code and code != self._scope_code:
            message = _("%(code)s is not in the scope of this import.") % {"code": code}
            errors.append(Refusal("out_of_scope", message, field="code"))
        values = {field: _parse(name, field, row, errors) for name, field in VALUES.items() if name in row.cells}
        if not errors:
            errors += dates_refusals(values.get("starts_on"), values.get("ends_on"))
        if errors:
            return errors
        key = RequestedHold(self.student_ids[number], str(code), self.terms.get(term))
        if hold := open_holds.get(key.key):
            values = {field: getattr(hold, field) for field in VALUES.values()} | values
        return key._replace(**values)

    # Full files

    @cached_property
    def listed(self) -> ListedHolds:
        return ListedHolds()

    def close(self) -> None:
        if listed := vars(self).pop("listed", None):
            listed.close()

    def _in_scope(self) -> QuerySet[Hold]:
        holds = Hold.objects.open()
        return holds.filter(code=self._scope_code) if self._scope_code else holds

    def _own(self) -> QuerySet[Hold]:
        return self._in_scope().filter(placed_import__in=Import.objects.of_dataset(self.job.dataset_key))

    def scope_size(self) -> int:
        return self._own().count() if self.job.mode == Mode.FULL else 0

    def record_listed(self, rows: Sequence[Row]) -> None:
        readable = [row for row in rows if not row.errors]
        self.row_keys(readable)
        for row in rows:
            if row.errors:  # its cells may be in the wrong columns
                self.listed.add((UNKNOWN_STUDENT, "", None), row.number, is_faulty=True)
                continue
            student_id = self.student_ids.get(row.cells["student_number"], UNKNOWN_STUDENT)
            term = row.cells.get("term", "")
            errors: list[Refusal] = []
            code = _parse("code", "code", row, errors) or ""
            is_faulty = bool(errors) or not student_id or (bool(term) and term not in self.terms)
            self.listed.add((student_id, code, self.terms.get(term)), row.number, is_faulty=is_faulty)

    def drop_unlisted(self) -> Iterator[list[RowResult]]:
        own = set(self._own().values_list("pk", flat=True))
        holds = self._in_scope().select_related("student", "term").order_by("pk")
        chunk = list(holds[:CHUNK_SIZE])
        while chunk:
            yield self._release_unlisted([hold for hold in chunk if not self.listed.has(hold)], own)
            chunk = list(holds.filter(pk__gt=chunk[-1].pk)[:CHUNK_SIZE])

    def _release_unlisted(self, unlisted: Sequence[Hold], own: set[int]) -> list[RowResult]:
        results, released = [], []
        for hold in unlisted:
            row = self._synthetic_row(hold)
            if hold.pk not in own:
                kept = KEPT_MANUAL if hold.placed_import_id is None else KEPT_OTHER_SOURCE
                results.append(RowResult(row, kept, hold.pk))
            elif number := self.listed.ambiguous_row(hold):
                note = _("Row %(row)s has an error and may refer to this hold.") % {"row": number}
                results.append(RowResult(row, KEPT_UNCERTAIN, hold.pk, note=note))
            else:
                released.append(hold.pk)
                results.append(RowResult(row, RELEASED, hold.pk))
        release_holds(released, actor=self.actor)
        return results

    def _synthetic_row(self, hold: Hold) -> Row:
        """Return a row, with the number 0, with the cells that a file would have for this hold."""
        cells = dict(zip(self.key_columns, _key_cells(hold), strict=True))
        return Row(0, [cells.get(name or "", "") for name in self._table_names], cells, is_synthetic=True)

    @cached_property
    def _table_names(self) -> list[str | None]:
        return self.table().names


def _key_cells(hold: Hold) -> list[str]:
    return [hold.student.student_number, hold.code, hold.term.code if hold.term else ""]


def _parse(name: str, field: str, row: Row, errors: list[Refusal]) -> Any:
    """Return the value of a cell; add its errors, and return None, if it is not valid."""
    try:
        return parse_cell(Hold._meta.get_field(field), row.cells.get(name, ""))
    except ValidationError as error:
        errors += refusals_from(error, field=name)
        return None
