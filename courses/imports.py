"""The columns of the course file."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from bulk.reading import Column, Row
from bulk.upsert import UpsertImporter, parse
from courses.lookup import CourseKey
from courses.models import Course, Term


class CourseImporter(UpsertImporter):
    """Courses by themselves. ``students.imports`` adds who waits for their seats."""

    kind = "courses"
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
    columns = (
        Column("course_code", required=True, aliases=("code",)),
        Column("term"),
        Column("name", required=True),
        Column("level", required=True),
        *(Column(name) for name in fields[2:]),
    )

    def key(self, cells: Mapping[str, str]) -> Hashable:
        return CourseKey(cells["course_code"], cells.get("term", ""))

    def find(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        self.terms = {term.code: term for term in Term.objects.filter(code__in={r.cells.get("term", "") for r in rows})}
        found = Course.objects.filter(code__in={row.cells["course_code"] for row in rows}).select_related("term")
        courses = found.select_for_update(of=("self",), no_key=True).order_by("pk")
        return {CourseKey(course.code, course.term.code if course.term else ""): course for course in courses}

    def make(self, cells: Mapping[str, str]) -> Course:
        errors = {}
        term = cells.get("term", "")
        if term and term not in self.terms:
            message = _("There is no term %(term)s.") % {"term": term}
            errors["term"] = ValidationError(message, code="term_not_found")
        try:
            parse(Course._meta.get_field("code"), cells["course_code"])
        except ValidationError as error:
            errors["course_code"] = error
        if errors:
            raise ValidationError(errors)
        return Course(code=cells["course_code"], term=self.terms.get(term))
