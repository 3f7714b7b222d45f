"""The actor of the commands of an import."""

from bulk.models import Import
from school.access.row_scope import RowScope
from students.enrollment.actor_context import ActorContext
from students.models import Channel


def actor_from_import(job: Import, row_scope: RowScope | None = None) -> ActorContext:
    """Return the actor of the commands of an import, with the given access limits."""
    return ActorContext(
        Channel.IMPORT,
        actor_id=job.actor_id,
        request_id=job.request_id,
        may_waive="may_waive" in job.rights,
        import_id=job.pk,
        row_scope=row_scope,
    )
