"""The life of an import: received, previewed, approved, applied, undone. Every door goes through here."""

from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk import storage
from bulk.kinds import importers_of, modes_of, options_of
from bulk.leases import is_free
from bulk.models import (
    ACTIVE,
    AT_WORK,
    DEFAULT_DATASET,
    FINISHED,
    UNDO,
    Door,
    Import,
    Mode,
    OnError,
    Progress,
    Review,
    State,
)
from school.limits import limits_of_account, outside_limits
from school.refusals import Refusal, Refused
from school.spoken import in_english


@dataclass(frozen=True)
class Order:
    """What somebody wants a file to be made of. ``again``: though it is the file that was applied last."""

    kind: str
    door: Door
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
    again: bool = False


class SameAgain(Exception):
    """The file is the one that was applied last. ``earlier`` is that import."""

    def __init__(self, earlier: Import) -> None:
        self.earlier = earlier
        super().__init__(_("This is the file of import %(id)s, which is applied.") % {"id": earlier.pk})


def receive(source: BinaryIO, order: Order) -> Import:
    """
    Take in a file: from now on it is kept, and waits for work.

    Raise ``Refused`` for options that cannot be, and while another import of the dataset is active; ``SameAgain`` for
    the file that was applied last.
    """
    job = Import(
        kind=order.kind,
        dataset=order.dataset,
        mode=order.mode,
        scope=order.scope,
        on_error=order.on_error,
        review=order.review,
        options=order.options,
        rights=list(order.rights),
        file_name=order.file_name[-255:],
        door=order.door,
        actor=order.actor,
        request_id=order.request_id,
    )
    refusals = _objections(job)
    if refusals:
        raise Refused(refusals)
    if not order.again:
        _refuse_the_same(job, storage.hash_of(source))
    with _one_at_a_time(job.dataset), transaction.atomic():
        _let_go_of_orphan(job)
        job.save()
        Progress.objects.create(file_import=job)
        storage.keep(source, job)
    return job


def _objections(job: Import) -> list[Refusal]:
    refusals = []
    if job.mode not in modes_of(job.kind):
        message = _("A file of %(kind)s is never full.") % {"kind": job.kind}
        refusals.append(Refusal("mode_not_offered", message, field="mode"))
    known = options_of(job.kind)
    for name, value in job.options.items():
        if name not in known:
            message = _("A file of %(kind)s has no option %(name)s.") % {"kind": job.kind, "name": name}
            refusals.append(Refusal("unknown_option", message, field=name))
        elif known[name].choices and value not in known[name].choices:
            message = _("%(value)s is none of: %(choices)s.")
            parts = {"value": value, "choices": ", ".join(known[name].choices)}
            refusals.append(Refusal("invalid_choice", message % parts, field=name))
    importers = importers_of(job.kind)
    if not all(importer.keeps_limits for importer in importers) and limits_of_account(job.actor_id):
        refusals.append(outside_limits())
    return refusals or [refusal for importer in importers for refusal in importer(job).check()]


def _refuse_the_same(job: Import, sha256: str) -> None:
    """Raise ``SameAgain`` where the dataset's last finished import was of this file, and asked for the same."""
    last = Import.objects.filter(dataset=job.dataset, state__in=FINISHED).exclude(kind=UNDO).order_by("-pk").first()
    wanted = ("kind", "mode", "scope", "options", "on_error")
    if last and last.sha256 == sha256 and all(getattr(last, name) == getattr(job, name) for name in wanted):
        raise SameAgain(last)


class _one_at_a_time:  # noqa: N801  # a context manager that reads as a sentence
    """Turn the database's refusal of a second active import of a dataset into the one that people read."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, IntegrityError):
            other = Import.objects.filter(dataset=self.dataset, state__in=ACTIVE).first()
            if other is not None:
                raise Refused([in_progress(other)]) from None


def in_progress(other: Import) -> Refusal:
    message = _("Import %(id)s of the dataset %(dataset)s is %(state)s: one at a time.")
    parts = {"id": other.pk, "dataset": other.dataset, "state": other.get_state_display()}
    return Refusal("import_in_progress", message % parts, _("Another import is in progress"))


def _let_go_of_orphan(job: Import) -> None:
    """Give up an import of the command line whose process has ended before it kept anything, for the next one."""
    active = Import.objects.select_for_update().filter(dataset=job.dataset, state__in=AT_WORK, checkpoint=0)
    for left in active.filter(door=Door.COMMAND).exclude(lease_owner=""):
        if is_free(left):
            left.state, left.finished_at = State.FAILED, timezone.now()
            with in_english():
                left.problems = [{"code": "interrupted", "message": _("It was interrupted. Nothing was applied.")}]
            left.save()


def approve(import_id: int, *, actor: Any = None) -> Import:
    """Let an import that waits for its review go on; raise ``Refused``."""
    with transaction.atomic():
        job = _locked(import_id, State.APPLYING, State.NEEDS_REVIEW)
        job.state, job.approved_by = State.APPLYING, actor
        job.lease_owner, job.leased_until, job.started_at = "", None, None
        job.problems = []
        job.save()
        Progress.objects.filter(pk=job.pk).update(rows=0, at=timezone.now())
    return job


def cancel(import_id: int) -> Import:
    """
    Stop an import: at once where nobody works on it, else as soon as who does hears of it; raise ``Refused``.

    Chunks that are applied by then stay so, and can be undone.
    """
    with transaction.atomic():
        Progress.objects.filter(pk=import_id, file_import__state__in=ACTIVE).update(wants_cancel=True)
    with transaction.atomic():
        job = Import.objects.select_for_update(skip_locked=True).filter(pk=import_id).first()
        if job is None:  # somebody is at it, or there is none
            return found(import_id)
        if not job.is_active:
            raise Refused([_not_from_here(job, State.CANCELLED)])
        if job.state == State.NEEDS_REVIEW or is_free(job):
            job.state, job.finished_at = State.CANCELLED, timezone.now()
            job.save()
    return job


def start_undo(import_id: int, *, door: Door, request_id: str, actor: Any = None, dry_run: bool = False) -> Import:
    """Make the import that takes another one back, and let it wait for work; raise ``Refused``."""
    undone = found(import_id)
    if undone.kind == UNDO or undone.checkpoint == 0 or not undone.may_become(State.UNDONE):
        raise Refused([_not_from_here(undone, State.UNDONE)])
    job = Import(
        kind=UNDO,
        undoes=undone,
        dataset=undone.dataset,
        on_error=OnError.SKIP,
        review=Review.DRY_RUN if dry_run else Review.NEEDED,
        options=undone.options,
        file_name=undone.file_name,
        door=door,
        actor=actor,
        request_id=request_id,
    )
    with _one_at_a_time(job.dataset), transaction.atomic():
        job.save()
        Progress.objects.create(file_import=job)
    return job


def found(import_id: int) -> Import:
    """Return an import; raise ``Refused``."""
    job = Import.objects.filter(pk=import_id).first()
    if job is None:
        raise Refused([_not_found(import_id)])
    return job


def _not_found(import_id: object) -> Refusal:
    message = _("There is no import %(id)s.") % {"id": import_id}
    return Refusal("import_not_found", message, _("Import not found"))


def _locked(import_id: int, state: State, *before: State) -> Import:
    """Lock an import that may become ``state``; raise ``Refused``."""
    job = Import.objects.select_for_update().filter(pk=import_id).first()
    if job is None:
        raise Refused([_not_found(import_id)])
    if not job.may_become(state) or job.state not in before:
        raise Refused([_not_from_here(job, state)])
    return job


def _not_from_here(job: Import, state: State) -> Refusal:
    message = _("Import %(id)s is %(state)s and cannot become %(wanted)s.")
    parts = {"id": job.pk, "state": job.get_state_display(), "wanted": state.label}
    return Refusal("import_not_possible", message % parts, _("Not possible from here"))
