from bulk.models import Import
from students.acts import Origin
from students.models import Channel


def origin_of(job: Import) -> Origin:
    """Return who acts in an import."""
    return Origin(
        Channel.IMPORT,
        actor_id=job.actor_id,
        request_id=job.request_id,
        may_waive="may_waive" in job.rights,
        import_id=job.pk,
    )
