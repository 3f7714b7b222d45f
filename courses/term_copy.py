"""
Copies the courses of a term to another term, as a file of courses that an import applies.

So a copy is previewed, listed and undone like each import. The file has the columns of the export of courses. A course
that the other term has already is left out, so a second copy changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any

from django.utils import timezone

from bulk.exports import stream_csv
from bulk.jobs.dataset_lock import Dispatch, leave_pending
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import Import, ImportChannel, Review
from courses.exports import COURSES
from courses.imports import CourseImporter
from courses.models import Course, CourseStaff, Term
from courses.staff_column import STAFF, active_staff
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, Refused

MAX_SHIFT_DAYS = 3_660


@dataclass(frozen=True)
class CourseCopy:
    """A copy of courses. Days and times move by ``shift_days``; a time keeps its hour in ``TIME_ZONE``."""

    source: Term
    target: Term
    shift_days: int = 0
    with_staff: bool = False

    def check(self) -> None:
        """Raise ``Refused`` if the copy is not possible."""
        if self.source.pk == self.target.pk:
            raise Refused([Refusal("same_term", _("Give two different terms."), _("Same term"), field="to")])
        if abs(self.shift_days) > MAX_SHIFT_DAYS:
            message = _("Give at most %(days)s days.") % {"days": MAX_SHIFT_DAYS}
            raise Refused([Refusal("max_value", message, field="shift_days")])

    def rows(self) -> list[list[Any]]:
        """Return the values of the courses to create, by ``columns``."""
        names = [*COURSES.columns]
        keys = [names.index(name) for name in CourseImporter.key_columns]
        term = names.index("term")
        existing = {tuple(row[key] for key in keys) for row in self._values(self.target)}
        staff = self._staff() if self.with_staff else {}
        rows = []
        for pk, *values in self._values_with_ids(self.source):
            values[term] = self.target.code
            if tuple(values[key] for key in keys) not in existing:
                shifted = [_shift(value, timedelta(days=self.shift_days)) for value in values]
                formats = map(COURSES.formats.get, names)
                row = [make(value) if make else value for make, value in zip(formats, shifted, strict=True)]
                rows.append([*row, *([" ".join(staff.get(pk, []))] if self.with_staff else [])])
        return rows

    @property
    def columns(self) -> list[str]:
        return [*COURSES.columns, *([STAFF] if self.with_staff else [])]

    def file(self, rows: list[list[Any]]) -> BytesIO:
        """Return the file with these rows."""
        return BytesIO("".join(text for _count, text in stream_csv(self.columns, rows)).encode())

    def _values_with_ids(self, term: Term) -> Iterator[list[Any]]:
        courses = Course.objects.filter(term=term).order_by("pk")
        yield from map(list, courses.values_list("pk", *COURSES.columns.values()))

    def _values(self, term: Term) -> Iterator[list[Any]]:
        return (values for _pk, *values in self._values_with_ids(term))

    def _staff(self) -> dict[int, list[str]]:
        """Return the user names of the active staff of the courses, by the ids of the courses."""
        staff: dict[int, list[str]] = {}
        named = CourseStaff.objects.filter(course__term=self.source, user__in=active_staff()).order_by("user__username")
        for course, username in named.values_list("course", "user__username"):
            staff.setdefault(course, []).append(username)
        return staff


def _shift(value: Any, days: timedelta) -> Any:
    """Return a value with all its days and times moved: also those in JSON, under names that end in ``_on``."""
    match value:
        case datetime():
            local = timezone.localtime(value).replace(tzinfo=None)
            return timezone.make_aware(local + days)
        case date():
            return value + days
        case list():
            return [_shift(each, days) for each in value]
        case dict():
            return {
                name: _shift_day(each, days) if name.endswith("_on") else _shift(each, days)
                for name, each in value.items()
            }
    return value


def _shift_day(day: str | None, days: timedelta) -> str | None:
    return day and (date.fromisoformat(day) + days).isoformat()


def submit_copy(
    copy: CourseCopy,
    *,
    channel: ImportChannel,
    request_id: str,
    review: Review,
    actor: Any = None,
    rights: tuple[str, ...] = (),
    dispatch: Dispatch = leave_pending,
) -> Import | None:
    """
    Submit the import that copies the courses; return None if the other term has all of them. Raise ``Refused``.
    """
    copy.check()
    rows = copy.rows()
    if not rows:
        return None
    request = ImportRequest(
        kind=CourseImporter.kind,
        channel=channel,
        request_id=request_id,
        file_name=f"courses-{copy.source.code}-{copy.target.code}.csv",
        dataset=f"copy-{copy.target.code}",
        review=review,
        actor=actor,
        rights=rights,
        again=True,
    )
    return submit(copy.file(rows), request, dispatch=dispatch)
