"""Imports courses from files."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import PurePosixPath
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy

from bulk.files.cell_text import clean
from bulk.files.csv_reader import Column, Row, Table
from bulk.importers.base import CHUNK_SIZE, Option, Source
from bulk.importers.cell_values import parse_cell, read_is_active, refusals_from
from bulk.importers.earlier_zips import EarlierIds
from bulk.importers.external_id_index import RowId, RowIdIndex
from bulk.models import UNDO, Import, OnError
from bulk.roster_zips.binding import BULK, TO_BE_DELETED
from courses.lookup import CourseKey, parse_course_key, term_not_found
from courses.models import Course, Level, Term
from courses.object_savers import CourseSaver, lock_courses
from courses.prerequisite_items import format_items, parse_items, split_codes
from courses.prerequisites import deletion_refusals, lock_prerequisites
from courses.staff_column import STAFF, StaffColumn
from courses.zip_references import CODE, ID_COLUMNS, SESSION_COLUMNS, CourseReferences, SessionTerms
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

KEY_FIELDS = ("code", "term__code", "section")
Closable = TypeVar("Closable", RowIdIndex, CourseReferences, SessionTerms)


class CourseImporter(CourseSaver, StaffColumn):
    """Imports courses without students. ``students.imports`` extends it, because a change may free seats."""

    kind = "courses"
    file_names = ("courses", "classes")
    roster_file = "classes"
    id_column = "course_id"
    key_columns = ("course_code", "term", "section")
    fields = (
        "name",
        "level",
        "capacity",
        "waitlist_capacity",
        "enrollment_opens_at",
        "enrollment_closes_at",
        "prerequisites",
        "credits",
        "meetings",
        "corequisites",
        "is_active",
    )
    columns = (
        Column(CODE, required=True, aliases=("code", "classcode"), fallbacks=tuple(ID_COLUMNS)),
        *map(Column, ID_COLUMNS),
        Column("course_sourced_id"),
        Column("term", aliases=("term_id", "termsourcedids")),
        Column("section"),
        Column("name", required=True, aliases=("long_name", "title")),
        *(Column(name) for name in fields[1:]),
        Column("status"),
        Column(STAFF),
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
        self.unknown_deletions: set[int] = set()  # the numbers of rows that delete a class which School does not have
        self.resources: list[RowIdIndex | CourseReferences | SessionTerms] = []

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
        self._split_class_codes(readable, source)
        self._resolve_terms(readable, source)
        self._fill_names(readable, source)
        if {*ID_COLUMNS} & {*source.names}:
            for row in readable:
                if not row.unresolved:
                    row.unresolved = tuple(self.references.conflicts(row))
        if self.manifest and self.manifest.is_delta(self.roster_file):
            self._note_unknown_deletions([row for row in readable if row.cells["status"] == TO_BE_DELETED])

    def _split_class_codes(self, rows: Sequence[Row], table: Table) -> None:
        """Take code and section from OneRoster's class codes that are keys of courses, as in the files of School."""
        if table.spelling(CODE) != "classcode":
            return
        for row in rows:
            if "@" in row.cells[CODE]:
                row.cells[CODE], term, section = parse_course_key(row.cells[CODE])
                row.cells["section"] = section
                row.cells["name"] = row.cells["name"].removesuffix(f" ({section})")
                if table.spelling("term") != "termsourcedids":
                    row.cells["term"] = row.cells.get("term", "") or term

    def _note_unknown_deletions(self, rows: Sequence[Row]) -> None:
        courses = Course.objects.filter(code__in={row.cells[CODE] for row in rows})
        known = {CourseKey(code, term or "", section) for code, term, section in courses.values_list(*KEY_FIELDS)}
        self.unknown_deletions |= {row.number for row in rows if self.row_key(row.cells) not in known}

    def skip_reason(self, row: Row) -> str:
        return _("School has no course for this class.") if row.number in self.unknown_deletions else ""

    def references_of_file(self) -> CourseReferences:
        """
        Return the ids that the zip uses for the courses of this file; the caller closes the result.

        Raise ``UnreadableFile``.
        """
        table = self.table()
        references = CourseReferences(self.file_name or self.kind, [name for name in table.names if name])
        for rows in table.chunks(CHUNK_SIZE):
            readable = [row for row in rows if not row.errors]
            self._split_class_codes(readable, table)
            self._resolve_terms(readable, table)
            references.add(rows)
        return references

    def _resolve_terms(self, rows: Sequence[Row], table: Table) -> None:
        """Replace the sessions of OneRoster's classes by the codes of their terms; a course is in one term."""
        if table.spelling("term") != "termsourcedids":
            return
        session_ids = [[each for each in map(clean, row.cells["term"].split(",")) if each] for row in rows]
        ids = {each for row_session_ids in session_ids for each in row_session_ids}
        codes: dict[str, str | Refusal] = self.sessions.codes(ids) if self.sessions else {}
        if self.manifest and self.manifest.mode("academicSessions") != BULK:
            codes |= self._codes_of_earlier({each for each in ids if not self.sessions or not self.sessions.has(each)})
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

    def _codes_of_earlier(self, ids: Collection[str]) -> dict[str, str]:
        """Return the codes of the terms of sessions that are not in this zip of OneRoster, as far as they are known."""
        by_code = set(Term.objects.filter(code__in=ids).values_list("code", flat=True))
        object_ids = self.earlier_terms.object_ids(ids)
        codes = dict(Term.objects.filter(pk__in=object_ids.values()).values_list("pk", "code"))
        by_id = {each: codes[object_id] for each, object_id in object_ids.items() if object_id in codes}
        return {each: each for each in by_code} | by_id

    @cached_property
    def earlier_terms(self) -> EarlierIds:
        return EarlierIds(self.job, "terms")

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
        return self._register(SessionTerms(table, prefers_ids=self.manifest is not None)) if table else None

    @cached_property
    def titles(self) -> RowIdIndex | None:
        """The titles of OneRoster's courses by their ids; None if the zip has no file of courses."""
        table = self.lookup_table("courses")
        if table is None:
            return None
        titles = self._register(RowIdIndex())
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
        return CourseKey(cells["course_code"], cells.get("term", ""), cells.get("section", ""))

    def find_existing(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        columns = {*rows[0].cells} if rows else set()
        if {"prerequisites", "corequisites", "section"} & columns:
            lock_prerequisites()
        for name in {"prerequisites", "corequisites"} & columns:
            self._split_codes(rows, name)
        self.terms = {term.code: term for term in Term.objects.filter(code__in={r.cells.get("term", "") for r in rows})}
        self.find_staff(rows)
        return self.find_by_codes({row.cells["course_code"] for row in rows})

    def _split_codes(self, rows: Sequence[Row], name: str) -> None:
        """Separate the codes of a column that are separated by blanks only, unless a code has these blanks."""
        for row in rows:
            if " " in (cell := row.cells[name]):
                with suppress(ValidationError):  # the row is refused later
                    row.cells[name] = format_items(split_codes(parse_items(cell), self._known_codes))

    def _known_codes(self, codes: Collection[str]) -> set[str]:
        existing = set(Course.objects.filter(code__in=codes).values_list("code", flat=True))
        return existing | {code for code in set(codes) - existing if self.is_added_later(code)}

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        lock_prerequisites()  # this lock is always taken before the locks of rows
        # Lock FOR UPDATE, because the courses may be deleted.
        return {course.pk: course for course in lock_courses(Course.objects.filter(pk__in=ids), no_key=False)}

    def is_added_later(self, code: str) -> bool:
        """
        Return True if a row of the file has this code.

        Always False if the rows are not applied as a whole: a later chunk may have an error.
        """
        if self.job.on_error != OnError.ABORT or self.job.kind == UNDO:
            return False
        return bool(self.references.index.keys(CODE, code))

    def deletion_refusal(self, instance: Any) -> Refusal | None:
        return deletion_refusals([instance.pk], self.row_scope).get(instance.pk)

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.code, values.term.code if values.term else "", values.section]

    def build(self, cells: Mapping[str, str]) -> Course:
        errors = {}
        if not cells.get("level") and not self.defaults["level"]:
            message = _("Give the level of new courses in a column level or in the option level. Levels: %(levels)s.")
            errors["level"] = ValidationError(message % {"levels": ", ".join(Level.values)}, code="blank")
        term = cells.get("term", "")
        if term and term not in self.terms:
            refusal = term_not_found(f"code:{term}", Term.objects.all())
            errors["term"] = ValidationError(refusal.message, code=refusal.code)
        section = cells.get("section", "")
        for column, name, cell in ((CODE, "code", cells[CODE]), ("section", "section", section)):
            try:
                parse_cell(Course._meta.get_field(name), cell)
            except ValidationError as error:
                errors[column] = error
        staff: list[int] = []
        try:
            staff = self.staff_of(cells)
        except ValidationError as error:
            errors[STAFF] = error
        if errors:
            raise ValidationError(errors)
        course: Any = Course(code=cells[CODE], term=self.terms.get(term), section=section)
        course.new_staff = staff
        return course
