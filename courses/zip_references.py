"""Finds the courses and terms that the files of a zip refer to by ids of other systems."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import NamedTuple

from bulk.files.csv_reader import Column, Row, Table
from bulk.importers.external_id_index import RowId, RowIdIndex
from courses.lookup import CourseKey, select_offering
from courses.models import Term
from school.i18n.stored_messages import translatable as _
from school.identifiers import similar_identifiers
from school.refusals import Refusal, explain_identifier

CODE = "course_code"
# The columns in which a course file may have ids in addition to the code, with their names in the systems that use
# them.
ID_COLUMNS = {"course_id": "course_id", "sourced_id": "sourcedId"}
ERRONEOUS = ""  # stands for the key of a row that has an error and therefore no key


class CourseReferences:
    """The courses of a file in a zip, by their codes and by the ids that the file gives beside the codes."""

    def __init__(self, file: str, ids: Collection[str]) -> None:
        self.file = file
        self.ids = [name for name in ID_COLUMNS if name in ids]
        self.index = RowIdIndex()

    def close(self) -> None:
        self.index.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows whose terms are resolved."""
        self.index.add(row_id for row in rows if not row.errors for row_id in self._row_ids(row))

    def _row_ids(self, row: Row) -> Iterator[RowId]:
        key = ERRONEOUS if row.unresolved else _key(row)
        for namespace in (CODE, *self.ids):
            if row.cells[namespace]:
                yield RowId(namespace, row.cells[namespace], key, row.number)

    def has(self, namespace: str, row_id: str) -> bool:
        """Return True if a row has this id."""
        return bool(self.index.keys(namespace, row_id))

    def conflicts(self, row: Row) -> Iterator[Refusal]:
        """
        Yield a refusal for each row with an id that belongs to another course, or with a course that has another id.
        """
        for namespace in self.ids:
            if not row.cells[namespace]:
                continue
            parts = {
                "id": row.cells[namespace],
                "column": ID_COLUMNS[namespace],
                "course": CourseKey(*_course_cells(row)),
            }
            own_key = _key(row)
            for key, number in self.index.keys(namespace, row.cells[namespace]).items():
                if key != own_key:
                    message = _("Row %(row)s has the same %(column)s %(id)s but a different course.")
                    yield Refusal("duplicate_row", message % {**parts, "row": number}, field=namespace)
                    break
            for row_id, number in self.index.ids(namespace, own_key).items():
                if row_id != row.cells[namespace]:
                    message = _(
                        "Row %(row)s has a different %(column)s but the same course %(course)s. Give each course "
                        "its own code or section."
                    )
                    yield Refusal("duplicate_row", message % {**parts, "row": number}, field=CODE)
                    break

    def find(
        self, namespace: str, row_id: str, term: str, default_term: str, section: str = ""
    ) -> CourseKey | Refusal | None:
        """
        Return the course that another file of the zip calls ``row_id``; None for an id that no row of this file has.

        ``namespace`` is the column of the id. ``term`` and ``section`` are those that the reference gives;
        ``default_term`` is only used to choose among several courses. If the file has such a column of ids, the code
        alone does not refer to a course.
        """
        namespace = namespace if namespace in self.ids else CODE
        if namespace == CODE and term:
            return None  # the code and the term identify a course even if this file does not list it
        keys = self.index.keys(namespace, row_id)
        if ERRONEOUS in keys:
            message = _("Row %(row)s of %(file)s, which has the course %(id)s, has an error.")
            parts = {"row": keys[ERRONEOUS], "file": self.file, "id": row_id}
            return Refusal("course_not_found", message % parts, _("Course not found"), field=CODE)
        if namespace == CODE:
            courses = {course: course for course in (CourseKey(*json.loads(key)) for key in keys)}
            by_default = select_offering(CourseKey(row_id, default_term, section), courses) if default_term else None
            if isinstance(by_default, CourseKey):
                return by_default
            return select_offering(CourseKey(row_id, "", section), courses) if courses else None
        return self._find_by_id(namespace, row_id, CourseKey("", term, section), [*keys])

    def _find_by_id(self, namespace: str, row_id: str, given: CourseKey, keys: list[str]) -> CourseKey | Refusal:
        parts = {"file": self.file, "column": ID_COLUMNS[namespace], "id": row_id}
        if not keys:
            message = _("%(file)s has no course with the %(column)s %(id)s.") % parts
            return explain_identifier(
                Refusal("course_not_found", message, field=CODE), row_id, self._similar(namespace, row_id)
            )
        if len(keys) > 1 or len(self.index.ids(namespace, keys[0])) > 1:
            message = _("%(file)s has several rows for the course with the %(column)s %(id)s.") % parts
            return Refusal("course_ambiguous", message, field=CODE)
        course = CourseKey(*json.loads(keys[0]))
        if given.term not in ("", course.term):
            message = _("%(file)s has the course with the %(column)s %(id)s in another term: %(course)s.")
            return Refusal("course_not_found", message % {**parts, "course": course}, field="term")
        if given.section not in ("", course.section):
            message = _("%(file)s has the course with the %(column)s %(id)s in another section: %(course)s.")
            return Refusal("course_not_found", message % {**parts, "course": course}, field="section")
        return course

    def _similar(self, namespace: str, row_id: str) -> str | None:
        """Return an id to suggest: an id with a similar spelling, or the id of the course with this code."""
        if similar := next((each for each in similar_identifiers(row_id) if self.index.keys(namespace, each)), None):
            return similar
        ids = [each for key in self.index.keys(CODE, row_id) for each in self.index.ids(namespace, key)]
        return ids[0] if len(ids) == 1 else None


def _course_cells(row: Row) -> tuple[str, str, str]:
    return row.cells[CODE], row.cells.get("term", ""), row.cells.get("section", "")


def _key(row: Row) -> str:
    return json.dumps(_course_cells(row))


SESSION_CELLS = ("title", "start_date", "end_date")
SESSION_COLUMNS = (Column("sourced_id", required=True), *map(Column, SESSION_CELLS))


class Session(NamedTuple):
    """An academic session of OneRoster. A day that is not known is None."""

    id: str
    title: str
    start: date | None
    end: date | None

    @classmethod
    def of_cells(cls, cells: Mapping[str, str]) -> "Session | None":
        """Return the session of a row of a term importer; None if one of its days is not valid."""
        try:
            start, end = (date.fromisoformat(day) if day else None for day in (cells["starts_on"], cells["ends_on"]))
        except ValueError:
            return None
        return cls(cells["sourced_id"], cells["name"], start, end)


def matching_terms(session: Session, terms: Iterable[Term], *, prefers_ids: bool = False) -> list[Term]:
    """
    Return the terms that a session may correspond to.

    These are the terms whose code is its sourcedId or its title, or whose name is its title, if the session and the
    term have a day in common. With ``prefers_ids``, a term with the sourcedId as its code is the only one.
    """
    matches = [
        term
        for term in terms
        if (term.code in (session.id, session.title) or (session.title and term.name == session.title))
        and (session.end is None or term.starts_on <= session.end)
        and (session.start is None or session.start <= term.ends_on)
    ]
    exact = [term for term in matches if term.code == session.id] if prefers_ids else []
    return exact or matches


def several_terms_refusal(session: Session, file: str, terms: Iterable[Term]) -> Refusal:
    """Return the refusal of a session that matches several terms."""
    message = _("The session %(id)s (%(title)s) of %(file)s matches several terms: %(terms)s.")
    codes = ", ".join(sorted(term.code for term in terms))
    return _term_not_found(message % {"file": file, "id": session.id, "title": session.title, "terms": codes})


class SessionTerms:
    """The terms of School that the sessions of a zip correspond to, as ``matching_terms`` finds them."""

    def __init__(self, table: Table, *, prefers_ids: bool = False) -> None:
        self.file = table.name
        self.prefers_ids = prefers_ids
        self.index = RowIdIndex()
        self.index.add(
            RowId(
                "", row.cells["sourced_id"], json.dumps([row.cells.get(each, "") for each in SESSION_CELLS]), row.number
            )
            for row in table
            if not row.errors and row.cells["sourced_id"]
        )

    def close(self) -> None:
        self.index.close()

    def has(self, session_id: str) -> bool:
        """Return True if the file has this session."""
        return bool(self.index.keys("", session_id))

    def codes(self, ids: Collection[str]) -> dict[str, str | Refusal]:
        """Return, by the ids of sessions, the code of the term that each corresponds to, or a refusal."""
        terms = list(Term.objects.all()) if ids else []
        return {session_id: self._code(session_id, terms) for session_id in ids}

    def _code(self, session_id: str, terms: list[Term]) -> str | Refusal:
        keys = self.index.keys("", session_id)
        parts = {"file": self.file, "id": session_id}
        if not keys:
            return _term_not_found(_("%(file)s has no session with the sourcedId %(id)s.") % parts)
        if len(keys) > 1:
            return _term_not_found(_("%(file)s has several sessions with the sourcedId %(id)s.") % parts)
        [(key, number)] = keys.items()
        title, *days = json.loads(key)
        try:
            start, end = (date.fromisoformat(day) if day else None for day in days)
        except ValueError:
            message = _("Row %(row)s of %(file)s has an invalid date. Write it like %(example)s.")
            return _term_not_found(message % {**parts, "row": number, "example": "2026-08-31"})
        session = Session(session_id, title, start, end)
        matches = matching_terms(session, terms, prefers_ids=self.prefers_ids)
        if len(matches) == 1:
            return matches[0].code
        if matches:
            return several_terms_refusal(session, self.file, matches)
        parts |= {"title": title}
        return _term_not_found(
            _(
                "No term matches the session %(id)s (%(title)s) of %(file)s. Its sourcedId or title must be the "
                "code, or its title the name, of a term whose dates overlap."
            )
            % parts
        )


def _term_not_found(message: str) -> Refusal:
    return Refusal("term_not_found", message, _("Term not found"), field="term")
