"""The actor of the commands of an import."""

from bulk.models import Import
from school.access.row_scope import Limits
from students.enrollment.commands import ActorContext
from students.models import Channel


def actor_from_import(job: Import, limits: Limits | None = None) -> ActorContext:
    """Return the actor of the commands of an import, with the given access limits."""
    return ActorContext(
        Channel.IMPORT,
        actor_id=job.actor_id,
        request_id=job.request_id,
        may_waive="may_waive" in job.rights,
        import_id=job.pk,
        limits=limits,
    )
