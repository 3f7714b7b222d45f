"""The submission of a file as a new import."""

from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bulk import import_file_store
from bulk.importers.registry import importers_of, modes_of, options_of
from bulk.jobs.dataset_lock import Dispatch, fail_abandoned, leave_pending, locked_dataset, refuse_if_active
from bulk.models import (
    ACTIVE_STATES,
    DEFAULT_DATASET,
    FINISHED_STATES,
    Import,
    ImportChannel,
    Mode,
    OnError,
    Progress,
    Review,
    State,
)
from school.access.row_scope import outside_scope_refusal, row_scope_of_account
from school.refusals import Refusal, Refused
from school.text_normalization import is_plain, normalized


@dataclass(frozen=True)
class ImportRequest:
    """
    The parameters of a new import.

    ``client`` is the service account of the API client that sends the file; each client has its own datasets. With
    ``again`` the file is applied even if it is the one that was applied last.
    """

    kind: str
    channel: ImportChannel
    request_id: str
    file_name: str = ""
    dataset: str = DEFAULT_DATASET
    mode: str = Mode.DELTA
    scope: str = ""
    on_error: str = OnError.ABORT
    review: str = Review.ALWAYS
    options: dict[str, str] = field(default_factory=dict)
    rights: tuple[str, ...] = ()
    actor: Any = None
    client: Any = None
    again: bool = False


class AlreadyApplied(Exception):
    """The file is the one that was applied last. ``earlier`` is that import."""

    def __init__(self, earlier: Import) -> None:
        self.earlier = earlier
        super().__init__(_("This file was already applied by import %(id)s.") % {"id": earlier.pk})


ONE_FILE = gettext_lazy("Send one file at a time. This form has several.")  # the error of an upload


def submit(source: BinaryIO, request: ImportRequest, *, dispatch: Dispatch = leave_pending) -> Import:
    """
    Store a file and create its import, which is then pending.

    Raise ``Refused`` for invalid options and while another import of the dataset is active, ``AlreadyApplied`` for the
    file that was applied last.
    """
    job = Import(
        kind=request.kind,
        dataset=normalized(request.dataset),
        mode=request.mode,
        scope=request.scope,
        on_error=request.on_error,
        review=request.review,
        options=request.options,
        rights=list(request.rights),
        file_name=normalized(request.file_name)[-255:],
        door=request.channel,
        actor=request.actor,
        client=request.client,
        request_id=request.request_id,
    )
    refusals = _validate(job)
    if refusals:
        raise Refused(refusals)
    refuse_if_active(job.dataset_key)
    if not request.again:
        _refuse_if_applied(job, import_file_store.sha256_of(source))
    with locked_dataset(job.dataset_key):
        fail_abandoned(job.dataset_key)
        job.save()
        Progress.objects.create(file_import=job)
        import_file_store.store_file(source, job)
        dispatch(job)
    return job


def _validate(job: Import) -> list[Refusal]:
    refusals = []
    for name, text in (("dataset", job.dataset), ("scope", job.scope), ("file", job.file_name)):
        if not is_plain(text):
            refusals.append(
                Refusal("control_characters", _("Control characters are not allowed. Remove them."), field=name)
            )
    if not job.dataset:
        refusals.append(Refusal("blank", _("Give the name of the dataset."), field="dataset"))
    if job.mode not in modes_of(job.kind):
        message = _("Files of the kind %(kind)s can only be sent in the mode delta.") % {"kind": job.kind}
        refusals.append(Refusal("mode_not_offered", message, field="mode"))
    if job.scope and job.mode != Mode.FULL:
        refusals.append(Refusal("invalid_scope", _("A scope can only be given for a full file."), field="scope"))
    known = options_of(job.kind)
    for name, value in job.options.items():
        if name not in known:
            message = _("Files of the kind %(kind)s have no option %(name)s.") % {"kind": job.kind, "name": name}
            refusals.append(Refusal("unknown_option", message, field=name))
        elif known[name].choices and value not in known[name].choices:
            message = _("%(value)s is not one of: %(choices)s.")
            parts = {"value": value, "choices": ", ".join(known[name].choices)}
            refusals.append(Refusal("invalid_choice", message % parts, field=name))
    importers = importers_of(job.kind)
    if not all(importer.enforces_limits for importer in importers) and row_scope_of_account(job.actor_id):
        refusals.append(outside_scope_refusal())
    return refusals or [refusal for importer in importers for refusal in importer(job).check()]


def _refuse_if_applied(job: Import, sha256: str) -> None:
    """
    Raise ``AlreadyApplied`` if the import repeats the last one that changed the dataset.

    That is the case if the last import had the same file and the same parameters, and has applied every row.
    """
    committed = Q(checkpoint__gt=0) | Q(state__in=FINISHED_STATES)
    last = (
        Import.objects.of_dataset(job.dataset_key)
        .filter(committed)
        .exclude(state__in=ACTIVE_STATES)
        .order_by("-pk")
        .first()
    )
    if last is None or last.state != State.DONE or last.errors or last.sha256 != sha256:
        return
    parameters = ("kind", "mode", "scope", "options", "on_error")
    if all(getattr(last, name) == getattr(job, name) for name in parameters):
        raise AlreadyApplied(last)
