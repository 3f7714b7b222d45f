"""Enrolling on the shortest way: what the morning of registration is made of."""

import json
from collections.abc import Mapping
from io import BytesIO

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException

from school.api.negotiation import JSON
from school.api.parsers import StrictJSONParser
from school.api.shortcuts import admit
from school.logs import current_request_id
from students.acts import Origin
from students.models import Channel
from students.serializers import EnrollSerializer
from students.views.acts import StudentCoursesViewSet, enroll_as_asked, headers_of, reading, shown

_parse = StrictJSONParser().parse
_in_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Enrolling:
    """One student into one course, asked for by a program without limits."""

    def answer(self, request: HttpRequest, arguments: Mapping[str, str]) -> HttpResponse | None:
        """Return what became of it, or raise ``Refused``; None, and nothing done, for what goes the general way."""
        is_plain = request.content_type == JSON
        grant = admit(request, f"{StudentCoursesViewSet.scope}:write") if is_plain else None
        if grant is None:
            return None
        try:
            body = reading(EnrollSerializer, _parse(BytesIO(request.body)))
        except APIException:
            return None  # the general way will say so
        may_waive = "enrollments:waive" in grant.scopes
        origin = Origin(Channel.API, grant.account.pk, current_request_id(), may_waive=may_waive)
        outcome = enroll_as_asked(arguments["student_id"], body, origin)
        assert outcome.enrollment is not None  # an accepted act has one
        status = 201 if outcome.changed else 200
        headers = headers_of(outcome.enrollment, status, request)
        return HttpResponse(_in_json(shown(outcome.enrollment)), status=status, headers=headers, content_type=JSON)


enrolling = Enrolling()
