"""Imports terms from files, and from the academic sessions of OneRoster."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils.functional import cached_property

from bulk.files.cell_text import clean
from bulk.files.csv_reader import Column, Row, Table
from bulk.importers.base import Source
from bulk.importers.cell_values import parse_cell
from bulk.importers.earlier_zips import EarlierIds
from bulk.importers.external_id_index import RowId, RowIdIndex
from bulk.importers.upsert import UpsertImporter
from bulk.models import Import
from bulk.roster_zips.binding import TO_BE_DELETED
from courses.models import Term
from courses.object_savers import TermSaver
from courses.zip_references import Session, matching_terms, several_terms_refusal
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal


class TermImporter(TermSaver, UpsertImporter):
    """Imports terms. The code of a term identifies it."""

    kind = "terms"
    file_names = ("terms",)
    roster_file = "academicSessions"
    id_column = "term_id"
    key_columns = ("term",)
    fields = ("name", "starts_on", "ends_on", "drop_deadline", "census_on", "max_credits")
    columns = (
        Column("term", required=True, aliases=("code", "termcode")),
        *(Column(name, required=True) for name in fields[:3]),
        *map(Column, fields[3:]),
    )

    def is_foreign(self) -> bool:
        """Return True for the terms of Canvas: School creates no terms from those of other systems."""
        assert self.file is not None  # it is in a zip
        return "term_id" in Table(self.file, [Column("term_id")], self.file_name).names

    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        return cells["term"]

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        # FOR UPDATE, because the terms may be deleted.
        return {term.pk: term for term in Term.objects.filter(pk__in=ids).select_for_update().order_by("pk")}

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.code]

    def build(self, cells: Mapping[str, str]) -> Term:
        try:
            parse_cell(Term._meta.get_field("code"), cells["term"])
        except ValidationError as error:
            raise ValidationError({"term": error}) from None
        return Term(code=cells["term"])


class SessionImporter(TermImporter):
    """
    Imports the academic sessions of a zip of OneRoster as terms.

    A session of the type term is a term, and so is any other session that a class refers to. A session changes the
    term that it matches, or else creates a term. The code of a new term is the id of the session, or its title if the
    id cannot be a code.
    """

    columns = (
        Column("sourced_id", required=True),
        Column("name", required=True, aliases=("title",)),
        Column("type", required=True),
        Column("starts_on", required=True, aliases=("startdate",)),
        Column("ends_on", required=True, aliases=("enddate",)),
        Column("status"),
    )
    lookup_columns: ClassVar[Mapping[str, tuple[Column, ...]]] = {
        "classes": (Column("term", required=True, aliases=("termsourcedids",)), Column("title"))
    }

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.unknown_deletions: set[int] = set()  # the numbers of rows that delete a session without a term
        self.known_codes: set[str] = set()
        self.earlier = EarlierIds(job, self.kind)

    def resolve(self, rows: Sequence[Row], source: Source) -> None:
        terms = list(Term.objects.all())
        if self.manifest and self.manifest.is_delta(self.roster_file):
            self.known_codes = {term.code for term in terms}
        sessions = []
        for row in rows:
            if not row.errors and not self._is_other_session(row):
                row.cells["term"] = ""
                if session := Session.of_cells(row.cells):  # otherwise a cell has an error of its own
                    sessions.append((row, session, matching_terms(session, terms, prefers_ids=True)))
        by_id = self.earlier.object_ids({session.id for _row, session, matches in sessions if not matches})
        for row, session, matches in sessions:
            found = matches or [term for term in terms if term.pk == by_id.get(session.id)]
            refusal = self._resolve_row(row, session, found, terms)
            row.unresolved = (refusal,) if refusal else ()

    def _resolve_row(
        self, row: Row, session: Session, matches: Sequence[Term], terms: Sequence[Term]
    ) -> Refusal | None:
        """Set the code of the term that a session means; return a refusal if that is not possible."""
        if len(matches) > 1:
            return several_terms_refusal(session, self.file_name, matches).with_field("sourced_id")
        if row.cells["status"] == TO_BE_DELETED:
            if not matches:
                self.unknown_deletions.add(row.number)
                return None
            message = _("An import does not delete terms. Delete the term %(term)s in the admin.")
            return Refusal("invalid", message % {"term": matches[0].code}, field="status")
        if not matches:
            return self._set_new_code(row, session, terms)
        [term] = matches
        row.cells["term"] = term.code
        if session.title == term.code:  # the title names the term by its code, and says nothing about its name
            row.cells["name"] = term.name
        return None

    def _set_new_code(self, row: Row, session: Session, terms: Sequence[Term]) -> Refusal | None:
        field = Term._meta.get_field("code")
        for code in (session.id, session.title):
            try:
                parse_cell(field, code)
            except ValidationError:
                continue
            if taken := next((term for term in terms if term.code == code), None):
                message = _("The term %(term)s has other dates: %(start)s to %(end)s. Change its code or its dates.")
                parts = {"term": code, "start": taken.starts_on, "end": taken.ends_on}
                return Refusal("unique", message % parts, field="sourced_id")
            row.cells["term"] = code
            return None
        message = _("The code of the new term would be the sourcedId or the title, but neither can be a code.")
        return Refusal("invalid_identifier", message, field="sourced_id")

    def skip_reason(self, row: Row) -> str:
        if self._is_other_session(row):
            message = _("A session of the type %(type)s becomes a term only if a class refers to it.")
            return message % {"type": row.cells["type"]}
        return _("School has no term for this session.") if row.number in self.unknown_deletions else ""

    def _is_other_session(self, row: Row) -> bool:
        session_id = row.cells["sourced_id"]
        return row.cells["type"] != "term" and not (
            session_id in self.known_codes or self.referred_ids.keys("", session_id)
        )

    def row_content(self, cells: Mapping[str, str]) -> str:
        # The sessions of several schools may have one title and the same dates: they are one term.
        return repr([cells[name] for name in ("name", "starts_on", "ends_on")])

    @cached_property
    def referred_ids(self) -> RowIdIndex:
        """The ids of the sessions that classes in the zip refer to."""
        index = RowIdIndex()
        if table := self.lookup_table("classes"):
            ids = (
                RowId("", clean(each), "", row.number)
                for row in table
                if not row.errors
                for each in row.cells["term"].split(",")
            )
            index.add(row_id for row_id in ids if row_id.id)
        return index

    def close(self) -> None:
        if index := vars(self).pop("referred_ids", None):
            index.close()
