"""The actor context of an API request."""

from rest_framework.request import Request

from school.api.permissions import is_permitted, row_scope_of
from school.observability.logging import current_request_id
from students.enrollment.actor_context import ActorContext
from students.models import Channel


def actor_from_request(request: Request) -> ActorContext:
    may_waive = is_permitted(request, "enrollments:waive", "students.waive_rules")
    return ActorContext(
        Channel.API,
        actor_id=request.user.pk,
        request_id=current_request_id(),
        may_waive=may_waive,
        row_scope=row_scope_of(request),
    )
