"""The origin of the acts of an import."""

from bulk.models import Import
from school.access.row_scope import Limits
from students.enrollment.commands import ActorContext
from students.models import Channel


def origin_of(job: Import, limits: Limits | None = None) -> ActorContext:
    """Return the origin of the acts of an import, with the given access limits."""
    return ActorContext(
        Channel.IMPORT,
        actor_id=job.actor_id,
        request_id=job.request_id,
        may_waive="may_waive" in job.rights,
        import_id=job.pk,
        limits=limits,
    )
