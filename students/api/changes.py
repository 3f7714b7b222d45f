"""The API view for the change feed."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from school.api.permissions import MissingPermission, is_permitted, row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.row_json import encode_json, json_response
from school.api.serializers import parse_body
from students.api.change_lines import read_lines
from students.api.serializers import ChangesQuerySerializer, ChangesSerializer, change_template
from students.events.feed import LATEST, read_changes
from students.events.feed_of_kinds import encode_positions, positions_after
from students.events.kinds import KINDS, Kind
from students.models import EnrollmentEvent

# The scope that a client needs to read each kind of changes, in addition to ``changes:read``, and the permission that a
# staff user needs.
REQUIRED = {
    "students": ("students:read", "students.view_student"),
    "courses": ("courses:read", "courses.view_course"),
    "terms": ("courses:read", "courses.view_term"),
}
KINDS_PARAMETER = OpenApiParameter(
    "kinds",
    {"type": "array", "items": {"type": "string", "enum": [*KINDS]}, "minItems": 1},
    style="form",
    explode=False,
    description=_("The kinds of changes, separated by commas. Each needs the scope to read it."),
)


def check_kinds(request: Request, kinds: Sequence[Kind]) -> None:
    """Raise ``MissingPermission`` unless the caller may read all of these kinds of changes."""
    for kind in kinds:
        if kind.name in REQUIRED and not is_permitted(request, *REQUIRED[kind.name]):
            scope, permission = REQUIRED[kind.name]
            raise MissingPermission(request, scope, [permission])


class ChangesView(StrictQueryMixin, APIView):
    """The change feed: every change of enrollments and other objects, in order and without gaps."""

    scope = "changes"
    permission_model = EnrollmentEvent
    more_problems = {"GET": {410}}

    def allowed_parameters(self) -> None:
        """``ChangesQuerySerializer`` checks the names of the query parameters."""

    def check_permissions(self, request: Request) -> None:
        """
        Raise ``MethodNotAllowed`` if an authenticated caller sends anything but a read: no scope allows writing
        changes.
        """
        if request.user.is_authenticated and request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))
        super().check_permissions(request)

    @extend_schema(
        operation_id="changes_list", parameters=[ChangesQuerySerializer, KINDS_PARAMETER], responses=ChangesSerializer
    )
    def get(self, request: Request) -> HttpResponse:
        """
        Return the changes after a cursor. The response has the cursor for the next request, even without changes.

        With `wait`, the response is held until there is a change, for at most that many seconds.
        """
        parameters = parse_body(ChangesQuerySerializer, request.query_params.dict()).validated_data
        if parameters["kinds"]:
            check_kinds(request, parameters["kinds"])
            return self._changes_of_kinds(request, **parameters)
        row_scope = row_scope_of(request)
        template = change_template(is_limited=row_scope is not None and row_scope.is_client)
        page = read_changes(
            parameters["after"],
            parameters["limit"],
            lambda: template.expressions,
            shape="limited" if template.computed else "full",
            wait=parameters["wait"],
            row_scope=row_scope,
        )
        return _page(page.cursor, page.has_more, [template.render(request, entry.columns) for entry in page.entries])

    @staticmethod
    def _changes_of_kinds(
        request: Request, *, kinds: Sequence[Kind], after: str, limit: int, wait: int
    ) -> HttpResponse:
        positions, wait = positions_after(after, kinds), 0 if after == LATEST else wait
        page = read_lines(kinds, positions, limit, wait=wait, row_scope=row_scope_of(request))
        return _page(encode_positions(page.positions), page.has_more, [line.json for line in page.lines])


def _page(cursor: str, has_more: bool, lines: Sequence[str]) -> HttpResponse:
    header: Any = encode_json({"cursor": cursor, "has_more": has_more})
    return json_response(f'{header[:-1]},"results":[{",".join(lines)}]}}')
