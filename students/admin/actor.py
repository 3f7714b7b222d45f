"""The origin of the acts of an admin request."""

from django.http import HttpRequest

from school.observability.logging import current_request_id
from students.enrollment.commands import ActorContext
from students.models import Channel


def origin_of(request: HttpRequest) -> ActorContext:
    """Return the origin of the acts of an admin request."""
    return ActorContext(
        Channel.ADMIN,
        actor_id=request.user.pk,
        request_id=current_request_id(),
        may_waive=request.user.has_perm("students.waive_rules"),
    )
