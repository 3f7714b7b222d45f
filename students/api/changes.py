"""The API view for the change feed."""

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from school.api.permissions import row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.row_json import encode_json, json_response
from school.api.serializers import parse_body
from students.api.serializers import ChangesQuerySerializer, ChangesSerializer, change_template
from students.events.feed import read_changes
from students.models import EnrollmentEvent


class ChangesView(StrictQueryMixin, APIView):
    """The change feed: every change of every enrollment, including drops, in order and without gaps."""

    scope = "changes"
    permission_model = EnrollmentEvent
    more_problems = {"GET": {400, 410}}

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

    @extend_schema(operation_id="changes_list", parameters=[ChangesQuerySerializer], responses=ChangesSerializer)
    def get(self, request: Request) -> HttpResponse:
        """
        Return the changes after a cursor. The response has the cursor for the next request, even without changes.

        With `wait`, the response is held until there is a change, for at most that many seconds.
        """
        parameters = parse_body(ChangesQuerySerializer, request.query_params.dict()).validated_data
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
        header = encode_json({"cursor": page.cursor, "has_more": page.has_more})
        results = ",".join([template.render(request, entry.columns) for entry in page.entries])
        return json_response(f'{header[:-1]},"results":[{results}]}}')
