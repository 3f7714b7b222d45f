"""The columns of the course file."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from bulk.reading import Column, Row
from bulk.upsert import UpsertImporter, parse
from courses.lookup import CourseKey
from courses.models import Course, Term


class CourseImporter(UpsertImporter):
    """Courses by themselves. ``students.imports`` adds who waits for their seats."""

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
    columns = (
        Column("course_code", required=True, aliases=("code", "course_id", "classcode")),
        Column("term", aliases=("term_id", "termsourcedids")),
        Column("name", required=True, aliases=("long_name", "title")),
        Column("level", required=True),
        *(Column(name) for name in fields[2:]),
    )

    def key(self, cells: Mapping[str, str]) -> Hashable:
        return CourseKey(cells["course_code"], cells.get("term", ""))

    def find(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        self.terms = {term.code: term for term in Term.objects.filter(code__in={r.cells.get("term", "") for r in rows})}
        courses = self._locked(Course.objects.filter(code__in={row.cells["course_code"] for row in rows}))
        return {CourseKey(course.code, course.term.code if course.term else ""): course for course in courses}

    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        return {course.pk: course for course in self._locked(Course.objects.filter(pk__in=ids))}

    def _locked(self, courses: QuerySet[Course]) -> QuerySet[Course]:
        locked = courses.select_related("term").select_for_update(of=("self",), no_key=True)
        return locked.order_by("pk")

    @classmethod
    def natural_key(cls, values: Any) -> list[str]:
        return [values.code, values.term.code if values.term else ""]

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
