"""Imports terms and courses from files."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy

from bulk.files.csv_cells import clean
from bulk.files.csv_reader import Column, Row, Table
from bulk.importers.base import CHUNK_SIZE, Option, Source
from bulk.importers.cell_values import parse_cell, read_is_active, refusals_from
from bulk.importers.history_undo import HistoryUndo
from bulk.importers.upsert import Entry, UpsertImporter
from bulk.importers.zip_references import ReferenceIndex, RowId
from bulk.models import UNDO, Import, OnError
from bulk.outcomes import ERROR, RowResult
from courses.lookup import CourseKey, term_not_found
from courses.models import Course, Level, Term
from courses.prerequisites import deletion_refusals, lock_prerequisites, prerequisite_refusals
from courses.zip_references import CODE, ID_COLUMNS, SESSION_COLUMNS, CourseReferences, SessionTerms
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

Closable = TypeVar("Closable", ReferenceIndex, CourseReferences, SessionTerms)


class TermImporter(UpsertImporter):
    """Imports terms. The code of a term identifies it."""

    kind = "terms"
    file_names = ("terms",)
    id_column = "term_id"
    key_columns = ("term",)
    model = Term
    fields = ("name", "starts_on", "ends_on", "drop_deadline")
    row_constraints = ("term_ends_after_it_starts", "term_drop_deadline_is_within_its_dates")
    columns = (
        Column("term", required=True, aliases=("code", "termcode")),
        *(Column(name, required=True) for name in fields[:3]),
        Column("drop_deadline"),
    )

    def is_foreign(self) -> bool:
        """Return True for the terms of Canvas: School creates no terms from those of other systems."""
        assert self.file is not None  # it is in a zip
        return "term_id" in Table(self.file, [Column("term_id")], self.file_name).names

    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        return cells["term"]

    def find_existing(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        terms = Term.objects.filter(code__in={row.cells["term"] for row in rows})
        return {term.code: term for term in terms.select_for_update(no_key=True).order_by("pk")}

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


class TermUndo(HistoryUndo):
    kind = TermImporter.kind
    id_column = TermImporter.id_column
    key_columns = ("id",)
    columns = ()
    importer_class = TermImporter


TermImporter.undo_importer = TermUndo


class CourseImporter(UpsertImporter):
    """Imports courses without students. ``students.imports`` extends it, because a change may free seats."""

    kind = "courses"
    file_names = ("courses", "classes")
    id_column = "course_id"
    key_columns = ("course_code", "term")
    model = Course
    fields = (
        "name",
        "level",
        "capacity",
        "waitlist_capacity",
        "enrollment_opens_at",
        "enrollment_closes_at",
        "prerequisites",
        "is_active",
    )
    row_constraints = ("course_enrollment_closes_after_it_opens",)
    columns = (
        Column(CODE, required=True, aliases=("code", "classcode"), fallbacks=tuple(ID_COLUMNS)),
        *map(Column, ID_COLUMNS),
        Column("course_sourced_id"),
        Column("term", aliases=("term_id", "termsourcedids")),
        Column("name", required=True, aliases=("long_name", "title")),
        *(Column(name) for name in fields[1:]),
        Column("status"),
    )
    example: ClassVar[Mapping[str, str]] = {
        "course_code": "MATH-101",
        "term": "2026F",
        "name": "Calculus I",
        "level": "introductory",
        "capacity": "30",
        "waitlist_capacity": "10",
    }
    statuses: ClassVar[Mapping[str, bool]] = {
        **dict.fromkeys(("active", "published"), True),
        **dict.fromkeys(("inactive", "unpublished", "completed", "concluded", "deleted", "tobedeleted"), False),
    }
    options = (Option("level", gettext_lazy("Level"), gettext_lazy("The level of new courses whose rows have none.")),)
    # The files of OneRoster in which references are looked up: its courses, which group its classes, and its academic
    # sessions.
    lookup_columns: ClassVar[Mapping[str, tuple[Column, ...]]] = {
        "courses": (Column("sourced_id", required=True), Column("title")),
        "academicsessions": SESSION_COLUMNS,
    }

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.resources: list[ReferenceIndex | CourseReferences | SessionTerms] = []

    def is_lookup_only(self) -> bool:
        """
        Return True for the courses of OneRoster: School's courses are offerings in a term, which OneRoster calls
        classes.
        """
        table = self.table()
        is_of_classes = PurePosixPath(self.file_name).stem.lower() == "classes" or table.spelling(CODE) == "classcode"
        is_of_classes = is_of_classes or "term" in table.names or "course_sourced_id" in table.names
        return not is_of_classes and "sourcedid" in (table.spelling("sourced_id"), table.spelling(CODE))

    def resolve(self, rows: Sequence[Row], source: Source) -> None:
        assert isinstance(source, Table)
        readable = [row for row in rows if not row.errors]
        self._resolve_terms(readable, source)
        self._fill_names(readable, source)
        if {*ID_COLUMNS} & {*source.names}:
            for row in readable:
                if not row.unresolved:
                    row.unresolved = tuple(self.references.conflicts(row))

    def references_of_file(self) -> CourseReferences:
        """
        Return the ids that the zip uses for the courses of this file; the caller closes the result.

        Raise ``UnreadableFile``.
        """
        table = self.table()
        references = CourseReferences(self.file_name or self.kind, [name for name in table.names if name])
        for rows in table.chunks(CHUNK_SIZE):
            self._resolve_terms([row for row in rows if not row.errors], table)
            references.add(rows)
        return references

    def _resolve_terms(self, rows: Sequence[Row], table: Table) -> None:
        """Replace the sessions of OneRoster's classes by the codes of their terms; a course is in one term."""
        if table.spelling("term") != "termsourcedids":
            return
        session_ids = [[each for each in map(clean, row.cells["term"].split(",")) if each] for row in rows]
        ids = {each for row_session_ids in session_ids for each in row_session_ids}
        codes: Mapping[str, str | Refusal] = self.sessions.codes(ids) if self.sessions else {}
        for row, row_session_ids in zip(rows, session_ids, strict=True):
            terms = [*dict.fromkeys(codes.get(each, each) for each in row_session_ids)]
            row.unresolved += tuple(term for term in terms if isinstance(term, Refusal))
            if row.unresolved or not terms:
                continue
            if len(terms) > 1:
                message = _("This class is in several terms (%(terms)s), but a course has one term. Give only one.")
                parts = {"terms": ", ".join(map(str, terms))}
                row.unresolved += (Refusal("several_terms", message % parts, field="term"),)
            else:
                row.cells["term"] = str(terms[0])

    def _fill_names(self, rows: Sequence[Row], table: Table) -> None:
        """Give classes without a title the title of their OneRoster course."""
        if self.titles is None or "course_sourced_id" not in table.names:
            return
        for row in rows:
            if not row.cells["name"] and (course_id := row.cells["course_sourced_id"]):
                titles = [*self.titles.keys("", course_id)]
                if len(titles) == 1:
                    row.cells["name"] = titles[0]
                else:
                    file, _content = self.lookup_files["courses"]
                    message = _("This class has no title, and %(file)s has none, or several, for the course %(id)s.")
                    parts = {"file": file, "id": course_id}
                    row.unresolved += (Refusal("blank", message % parts, field="name"),)

    @cached_property
    def sessions(self) -> SessionTerms | None:
        table = self.lookup_table("academicsessions")
        return self._register(SessionTerms(table)) if table else None

    @cached_property
    def titles(self) -> ReferenceIndex | None:
        """The titles of OneRoster's courses by their ids; None if the zip has no file of courses."""
        table = self.lookup_table("courses")
        if table is None:
            return None
        titles = self._register(ReferenceIndex())
        rows = (row.cells for row in table if not row.errors)
        titles.add(RowId("", cells["sourced_id"], cells["title"], 0) for cells in rows if cells.get("title"))
        return titles

    @cached_property
    def references(self) -> CourseReferences:
        """
        The ids that the zip uses for the courses of this file.

        All are read in advance, because a row can conflict with a later row.
        """
        other = self.reopen()
        assert isinstance(other, CourseImporter)
        with closing(other):
            return self._register(other.references_of_file())

    def _register(self, resource: Closable) -> Closable:
        self.resources.append(resource)
        return resource

    def close(self) -> None:
        for each in self.resources:
            each.close()

    def check(self) -> list[Refusal]:
        try:
            parse_cell(Course._meta.get_field("level"), self.defaults["level"] or Level.INTRODUCTORY)
        except ValidationError as error:
            return refusals_from(error, field="level")
        return []

    @property
    def defaults(self) -> Mapping[str, str]:
        return {"level": self.job.options.get("level", "")}

    def normalize_cells(self, cells: dict[str, str]) -> list[Refusal]:
        return read_is_active(cells, self.statuses)

    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        return CourseKey(cells["course_code"], cells.get("term", ""))

    def find_existing(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        if any("prerequisites" in row.cells for row in rows[:1]):
            lock_prerequisites()
        self.terms = {term.code: term for term in Term.objects.filter(code__in={r.cells.get("term", "") for r in rows})}
        courses = self._locked(Course.objects.filter(code__in={row.cells["course_code"] for row in rows}))
        return {CourseKey(course.code, course.term.code if course.term else ""): course for course in courses}

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        lock_prerequisites()  # this lock is always taken before the locks of rows
        # Lock FOR UPDATE, because the courses may be deleted.
        return {course.pk: course for course in self._locked(Course.objects.filter(pk__in=ids), no_key=False)}

    def save(self, entries: list[Entry], field_names: Sequence[str]) -> list[RowResult]:
        """Save the courses as the base class does, except those whose prerequisites are unknown or form a cycle."""
        invalid = self._constraint_violations(entries)
        valid = {id(each.instance): each.instance for each in entries if id(each.instance) not in invalid}
        refused = prerequisite_refusals([*valid.values()], self._is_in_file)
        saved = iter(super().save([each for each in entries if id(each.instance) not in refused], field_names))
        return [
            RowResult(each.row, ERROR, errors=tuple(refused[id(each.instance)]))
            if id(each.instance) in refused
            else next(saved)
            for each in entries
        ]

    def _is_in_file(self, code: str) -> bool:
        """
        Return True if a row of the file has this code.

        Always False if the rows are not applied as a whole: a later chunk may have an error.
        """
        if self.job.on_error != OnError.ABORT or self.job.kind == UNDO:
            return False
        return bool(self.references.index.keys(CODE, code))

    def deletion_refusal(self, instance: Any) -> Refusal | None:
        return deletion_refusals([instance.pk], self.row_scope).get(instance.pk)

    def _locked(self, courses: QuerySet[Course], *, no_key: bool = True) -> QuerySet[Course]:
        locked = courses.select_related("term").select_for_update(of=("self",), no_key=no_key)
        return locked.order_by("pk")

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.code, values.term.code if values.term else ""]

    def build(self, cells: Mapping[str, str]) -> Course:
        errors = {}
        if not cells.get("level") and not self.defaults["level"]:
            message = _("Give the level of new courses in a column level or in the option level. Levels: %(levels)s.")
            errors["level"] = ValidationError(message % {"levels": ", ".join(Level.values)}, code="blank")
        term = cells.get("term", "")
        if term and term not in self.terms:
            refusal = term_not_found(f"code:{term}", Term.objects.all())
            errors["term"] = ValidationError(refusal.message, code=refusal.code)
        try:
            parse_cell(Course._meta.get_field("code"), cells["course_code"])
        except ValidationError as error:
            errors["course_code"] = error
        if errors:
            raise ValidationError(errors)
        return Course(code=cells["course_code"], term=self.terms.get(term))
