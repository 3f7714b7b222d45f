"""The actor context of an admin request."""

from django.http import HttpRequest

from school.observability.logging import current_request_id
from students.enrollment.actor_context import ActorContext
from students.models import Channel


def actor_from_request(request: HttpRequest) -> ActorContext:
    """Return the actor context of an admin request: user, channel, request id and whether the user may waive rules."""
    return ActorContext(
        Channel.ADMIN,
        actor_id=request.user.pk,
        request_id=current_request_id(),
        may_waive=request.user.has_perm("students.waive_rules"),
    )
