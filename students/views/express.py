"""The lists of enrollments that programs ask for all day, and the change feed."""

from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from school.api.express import Express, admit_reader, answer_with, limit_above
from school.api.pagination import read_size
from school.api.printing import row_in_json
from school.prepared import SLOTS, Statement, compiled, compiler_of, run_together
from school.refusals import Refused
from students.changes import ENDS, LATEST, cursor_at, position_in, refuse_expired
from students.journal import HORIZON, horizon_in, known_horizon
from students.models import EnrollmentEvent, StudentCourse
from students.serializers import ChangeSerializer
from students.views.acts import StudentCoursesViewSet
from students.views.lists import ChangesView, EnrollmentViewSet, RosterViewSet

OPEN = StudentCourse.objects.with_parties().open()
PLACE = {"waitlist_position": "position"}

student_courses = Express(StudentCoursesViewSet, OPEN, ("student_id", "student_id"), PLACE)
roster = Express(RosterViewSet, OPEN, ("course_id", "course_id"), PLACE)
enrollments = Express(EnrollmentViewSet, OPEN, annotations=PLACE)

CHANGES = 100  # as the general way has it


class Feed:
    """The change feed, for who does not wait."""

    def answer(self, request: HttpRequest, arguments: Any) -> HttpResponse | None:
        """Return a page; None for what goes the general way."""
        asked = parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True)
        values = dict(asked)
        after, limit = values.pop("after", ""), read_size(values.pop("limit", str(CHANGES)))
        if limit is None or values or len(dict(asked)) < len(asked) or after == LATEST:
            return None
        if not admit_reader(request, ChangesView.scope):
            return None
        try:
            position = position_in(after) if after else 0
            rows = _read(position, limit)
        except (ValidationError, Refused):
            return None  # the general way will say so
        more, rows = len(rows) > limit, rows[:limit]
        cursor = cursor_at(rows[-1][0] if rows else position)
        return answer_with({"cursor": cursor, "has_more": more}, ",".join([text for _pk, text in rows]))


def _read(position: int, limit: int) -> list[tuple[int, str]]:
    """Return entries behind one, with one more than ``limit`` if there is; raise ``Refused`` where it has expired."""
    changes = _changes(limit_above(limit))
    behind = changes.sql, changes.filled([position])
    until = known_horizon()
    if position + limit < until:
        [ends], rows = run_together([(ENDS, []), behind])
    if position + limit >= until or (rows and rows[-1][0] > until):
        [ends], *horizon, rows = run_together([(ENDS, []), *HORIZON, behind])
        until = horizon_in(horizon)
    refuse_expired(position, *ends)
    return [(pk, text) for pk, text in rows if pk <= until]


@cache
def _changes(most: int) -> Statement:
    """Return the statement for the entries behind one. With an end too PostgreSQL would expect few, and sort them."""
    entries = EnrollmentEvent.objects.filter(pk__gt=SLOTS[0]).order_by("pk")
    return compiled(compiler_of(entries.values_list("pk", row_in_json(ChangeSerializer(), {}))[:most]))


changes = Feed()
