"""Imports courses from a file."""

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
from bulk.importers.references import ReferenceIndex, RowId
from bulk.importers.upsert import UpsertImporter, parse_cell, read_is_active, refusals_from
from bulk.models import Import
from courses.lookup import CourseKey, term_not_found
from courses.models import Course, Level, Term
from courses.prerequisites import deletion_refusals, lock_prerequisites
from courses.references import CODE, ID_COLUMNS, SESSION_COLUMNS, CourseReferences, SessionTerms
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

Closable = TypeVar("Closable", ReferenceIndex, CourseReferences, SessionTerms)


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
    options = (Option("level", gettext_lazy("The level of new courses whose rows have none.")),)
    # OneRoster's courses, which group its classes, and its academic sessions.
    lookup_columns: ClassVar[Mapping[str, tuple[Column, ...]]] = {
        "courses": (Column("sourced_id", required=True), Column("title")),
        "academicsessions": SESSION_COLUMNS,
    }

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.resources: list[ReferenceIndex | CourseReferences | SessionTerms] = []

    def is_lookup_only(self) -> bool:
        """Return True if these are courses of OneRoster: its classes are the offerings, which School calls courses."""
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
        """Return the zip's names of the file's courses; the caller closes the result. Raise ``UnreadableFile``."""
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
        """The zip's names of the file's courses, read in advance: a row can conflict with a later row."""
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
        self.terms = {term.code: term for term in Term.objects.filter(code__in={r.cells.get("term", "") for r in rows})}
        courses = self._locked(Course.objects.filter(code__in={row.cells["course_code"] for row in rows}))
        return {CourseKey(course.code, course.term.code if course.term else ""): course for course in courses}

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        lock_prerequisites()  # before the locks of rows, as everywhere
        # FOR UPDATE, because the courses may be deleted.
        return {course.pk: course for course in self._locked(Course.objects.filter(pk__in=ids), no_key=False)}

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
