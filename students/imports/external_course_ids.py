"""
Finds the courses that the enrollment file of a zip refers to by ids, from the course and section files in the same zip.
"""

from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache

from bulk.files.csv_reader import Column, Row, Table, UnreadableFile
from bulk.importers.base import Importer
from bulk.importers.earlier_zips import EarlierIds
from bulk.importers.external_id_index import RowId, RowIdIndex
from bulk.roster_zips.binding import BULK
from courses.imports import KEY_FIELDS, CourseImporter
from courses.lookup import CourseKey
from courses.models import Course
from courses.zip_references import CODE, CourseReferences
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

SECTIONS = "sections"
SECTION_COLUMNS = (Column("section_id", required=True), Column("course_id", required=True))
# Maps a spelling of the course column in an enrollment file to the column of the course file that has these ids.
ID_SPACES = {"classsourcedid": "sourced_id", "courseid": "course_id"}


def courses_in_zip(importer: Importer) -> CourseImporter | None:
    """Return an importer for the course file in the same zip as another importer's file; None if there is none."""
    courses = importer.open_part(CourseImporter.kind)
    assert courses is None or isinstance(courses, CourseImporter)
    return courses


def check_classes(importer: Importer, table: Table) -> None:
    """Raise ``UnreadableFile`` if OneRoster enrollments refer to classes, and the zip has courses but no classes."""
    if table.spelling(CODE) == "classsourcedid":
        courses = courses_in_zip(importer)
        if courses and courses.is_lookup_only():
            message = _("%(file)s has courses, but %(enrollments)s refers to classes. Add classes.csv to the zip.")
            parts = {"file": courses.file_name, "enrollments": table.name}
            raise UnreadableFile("missing_file", message % parts)


class CourseResolver:
    """Replaces the course and section ids in enrollment rows by the codes and terms of the courses in the zip."""

    def __init__(self, importer: Importer, default_term: str) -> None:
        self.default_term = default_term
        # The courses of classes that are not in this zip of OneRoster, if it may lack classes.
        self.earlier: EarlierIds | None = None
        self.earlier_keys: dict[str, CourseKey] = {}
        if importer.manifest and importer.manifest.mode(CourseImporter.roster_file) != BULK:
            self.earlier = EarlierIds(importer.job, CourseImporter.kind)
        self.courses: CourseReferences | None = None
        if courses := courses_in_zip(importer):
            with closing(courses):
                self.courses = courses.references_of_file()
            self.find = lru_cache(maxsize=1_000)(self.courses.find)  # a cache, because most rows name the same courses
        self.sections = RowIdIndex()
        if table := importer.lookup_table(SECTIONS):
            self.sections_file = table.name
            rows = (row for row in table if not row.errors and row.cells["section_id"] and row.cells["course_id"])
            self.sections.add(RowId("", row.cells["section_id"], row.cells["course_id"], row.number) for row in rows)

    def close(self) -> None:
        self.sections.close()
        if self.courses:
            self.courses.close()

    def resolve(self, rows: Sequence[Row], table: Table) -> None:
        space = ID_SPACES.get(table.spelling(CODE), CODE)
        if self.earlier and space == "sourced_id":
            self._find_earlier(self.earlier, {row.cells[CODE] for row in rows})
        for row in rows:
            course = self._course_of(row, space)
            if isinstance(course, Refusal):
                row.unresolved = (course,)
            elif course:
                row.cells[CODE], row.cells["term"], row.cells["section"] = course
                row.has_complete_key = True

    def _find_earlier(self, earlier: EarlierIds, ids: set[str]) -> None:
        """Find the courses of the classes that are not in the zip."""
        unknown = {each for each in ids if not self.courses or not self.courses.has("sourced_id", each)}
        object_ids = earlier.object_ids(unknown - self.earlier_keys.keys())
        courses = Course.objects.filter(pk__in=object_ids.values()).values_list("pk", *KEY_FIELDS)
        keys = {pk: CourseKey(code, term or "", section) for pk, code, term, section in courses}
        self.earlier_keys |= {each: keys[pk] for each, pk in object_ids.items() if pk in keys}

    def _course_of(self, row: Row, space: str) -> CourseKey | Refusal | None:
        """
        Return the course in the zip that a row names by a course or section id; None if the row names no course in the
        zip.
        """
        named = self._find(row, space, row.cells[CODE])
        section = row.cells.get("section_id", "")
        courses = [*self.sections.keys("", section)] if section else []
        if isinstance(named, Refusal) or not courses:
            return named
        by_section = self._find(row, "course_id", courses[0])
        if isinstance(by_section, Refusal):
            return by_section
        given = CourseKey(row.cells[CODE], row.cells.get("term", ""), row.cells.get("section", ""))
        own = named or (given if row.cells[CODE] else None)
        of_section = by_section or given._replace(code=courses[0])
        if len(courses) > 1 or own not in (None, of_section):
            message = _("%(file)s has the section %(section)s in another course: %(courses)s.")
            parts = {"file": self.sections_file, "section": section, "courses": ", ".join(courses)}
            return Refusal("course_ambiguous", message % parts, field="section_id")
        if not by_section:
            row.cells[CODE] = courses[0]
        return by_section

    def _find(self, row: Row, space: str, name: str) -> CourseKey | Refusal | None:
        if space == "sourced_id" and name in self.earlier_keys:
            return self.earlier_keys[name]
        if not self.courses or not name:
            return None
        return self.find(space, name, row.cells.get("term", ""), self.default_term, row.cells.get("section", ""))
