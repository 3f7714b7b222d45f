"""The origin of the acts of an import."""

from bulk.models import Import
from school.access.row_scope import RowScope
from students.enrollment.commands import Origin
from students.models import Channel


def origin_of(job: Import, row_scope: RowScope | None = None) -> Origin:
    """Return the origin of the acts of an import, with the given access limits."""
    return Origin(
        Channel.IMPORT,
        actor_id=job.actor_id,
        request_id=job.request_id,
        may_waive="may_waive" in job.rights,
        import_id=job.pk,
        row_scope=row_scope,
    )
