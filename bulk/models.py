"""Models of imports (the file, its progress and the outcomes of its rows), and of worker processes."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bulk.translated_labels import translated_label

UNDO = "undo"  # the kind of an import that undoes another import
ZIP = "zip"  # the kind of an import of several files in one zip
DEFAULT_DATASET = "default"


class State(models.TextChoices):
    VALIDATING = "validating", _("validating")
    NEEDS_REVIEW = "needs_review", _("needs review")
    APPLYING = "applying", _("applying")
    DONE = "done", _("done")
    DONE_WITH_ERRORS = "done_with_errors", _("done with errors")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    UNDONE = "undone", _("undone")
    PARTLY_UNDONE = "partly_undone", _("partly undone")


# Maps each state to the states that may follow it. An import that was cancelled or failed after some of its chunks were
# applied can be undone too.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    State.VALIDATING: (State.NEEDS_REVIEW, State.APPLYING, State.FAILED, State.CANCELLED),
    State.NEEDS_REVIEW: (State.APPLYING, State.CANCELLED),
    State.APPLYING: (State.NEEDS_REVIEW, State.DONE, State.DONE_WITH_ERRORS, State.FAILED, State.CANCELLED),
    State.DONE: (State.UNDONE, State.PARTLY_UNDONE),
    State.DONE_WITH_ERRORS: (State.UNDONE, State.PARTLY_UNDONE),
    State.FAILED: (State.UNDONE, State.PARTLY_UNDONE),
    State.CANCELLED: (State.UNDONE, State.PARTLY_UNDONE),
    State.UNDONE: (),
    State.PARTLY_UNDONE: (State.UNDONE, State.PARTLY_UNDONE),
}
ACTIVE_STATES = (State.VALIDATING, State.NEEDS_REVIEW, State.APPLYING)
# The states in which a process works on the import or is about to.
PROCESSING_STATES = (State.VALIDATING, State.APPLYING)
FINISHED_STATES = (State.DONE, State.DONE_WITH_ERRORS)


class Mode(models.TextChoices):
    DELTA = "delta", _("delta: objects that are not in the file do not change")
    FULL = "full", _("full: enrollments that the file no longer lists end")


class OnError(models.TextChoices):
    ABORT = "abort", _("apply nothing")
    SKIP = "skip", _("apply the valid rows")


class Review(models.TextChoices):
    """
    When an import waits for approval.

    ``ALWAYS``: before anything is applied. ``NEEDED``: only if a full import would end more than 10 % of its scope
    (``bulk.jobs.end_states.MAX_DROPPED_SHARE``). ``DRY_RUN``: never; nothing is applied.
    """

    ALWAYS = "always", _("always")
    NEEDED = "needed", _("when needed")
    DRY_RUN = "dry_run", _("preview only")


class ImportChannel(models.TextChoices):
    API = "api", _("API")
    ADMIN = "admin", _("admin")
    COMMAND = "command", _("command")


def rows_per_second(counts: dict[str, int], started_at: datetime | None, finished_at: datetime | None) -> float | None:
    """
    Return the results per second, rounded to one decimal.

    None if the import has not ended, has no results, or took no time.
    """
    results = sum(counts.values())
    if started_at is None or finished_at is None or not results:
        return None
    seconds = (finished_at - started_at).total_seconds()
    return round(results / seconds, 1) if seconds else None


class DatasetKey(NamedTuple):
    """
    Identifies a dataset by its owner and its name: several API clients may each have a dataset of the same name.

    ``client_id`` is the id of the API client's service account. It is None for the commands, the admin and the API
    sessions of staff, which share their datasets.
    """

    client_id: int | None
    name: str


class ImportQuerySet(models.QuerySet["Import"]):
    def of_dataset(self, key: DatasetKey) -> "ImportQuerySet":
        """Return the imports of a dataset."""
        return self.filter(client=key.client_id, dataset=key.name)

    def visible_to_client(self, account_id: int) -> "ImportQuerySet":
        """Return the imports of the API client with this service account; a client never sees other imports."""
        return self.filter(client=account_id)


class Import(models.Model):
    """
    A file and its import.

    ``kind`` says what the rows are. ``dataset`` and ``client`` identify the source of the file: compare datasets by
    ``dataset_key``. ``options`` are the options of the kind. ``rows`` is the number of rows in the file. ``counts`` has
    the number of results by outcome, ``checkpoint`` the number of results that are applied and committed. ``unlisted``
    is the number of these results that are about objects which a full file does not list. They come before the results
    of the rows; ``unlisted`` is None until they are complete.

    ``problems`` say why the file as a whole was not applied, and what else its sender has to know. ``warnings`` say
    what in the file was ignored. ``fingerprint`` is a hash of the outcomes that were shown for review.

    The process that works on the import holds a lock on its row in every transaction, and a lease between transactions.
    """

    kind = models.CharField(_("kind"), max_length=32)
    undoes = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="undone_by", verbose_name=_("undoes")
    )
    dataset = models.CharField(_("dataset"), max_length=64, default=DEFAULT_DATASET)
    client = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        db_index=False,  # needs no index of its own, because the index by dataset begins with this column
        related_name="+",
        verbose_name=_("API client"),
    )
    mode = models.CharField(_("mode"), max_length=8, choices=Mode, default=Mode.DELTA)
    scope = models.CharField(_("scope"), max_length=128, blank=True)
    on_error = models.CharField(_("on error"), max_length=8, choices=OnError, default=OnError.ABORT)
    review = models.CharField(_("review"), max_length=8, choices=Review, default=Review.ALWAYS)
    options = models.JSONField(_("options"), default=dict, blank=True)
    rights = models.JSONField(_("rights"), default=list, blank=True)

    file_name = models.CharField(_("file"), max_length=255, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)

    door = models.CharField(_("channel"), max_length=8, choices=ImportChannel)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("actor"),
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved by"),
    )
    request_id = models.CharField(_("request id"), max_length=64)

    state = models.CharField(_("state"), max_length=16, choices=State, default=State.VALIDATING)
    problems = models.JSONField(_("problems"), default=list, blank=True)
    warnings = models.JSONField(_("warnings"), default=list, blank=True)
    rows = models.PositiveIntegerField(_("rows"), null=True, blank=True)
    counts = models.JSONField(_("counts"), default=dict, blank=True)
    ending = models.PositiveIntegerField(_("would end"), default=0)
    in_scope = models.PositiveIntegerField(_("in scope"), default=0)
    fingerprint = models.CharField(max_length=64, blank=True)
    checkpoint = models.PositiveIntegerField(default=0)
    unlisted = models.PositiveIntegerField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    discarded_at = models.DateTimeField(
        _("discarded at"),
        null=True,
        blank=True,
        help_text=_("The time when its file and its row results were deleted."),
    )
    lease_owner = models.CharField(max_length=255, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)

    objects = ImportQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        # Imports are never deleted, so there is no permission to delete them.
        default_permissions = ("add", "change", "view")
        constraints = [
            # Two constraints, because a unique constraint treats NULLs as different from each other.
            models.UniqueConstraint(
                name="import_is_one_at_a_time",
                fields=["dataset"],
                condition=Q(state__in=ACTIVE_STATES, client__isnull=True),
                violation_error_code="import_in_progress",
                violation_error_message=_("Another import of this dataset is running or needs review."),
            ),
            models.UniqueConstraint(
                name="import_of_client_is_one_at_a_time",
                fields=["client", "dataset"],
                condition=Q(state__in=ACTIVE_STATES, client__isnull=False),
                violation_error_code="import_in_progress",
                violation_error_message=_("Another import of this dataset is running or needs review."),
            ),
            models.CheckConstraint(
                name="import_state_is_known",
                condition=Q(state__in=State.values),
                violation_error_message=_("This state is not known."),
            ),
            models.CheckConstraint(
                name="import_in_full_has_a_scope",
                condition=~Q(mode=Mode.FULL) | ~Q(scope=""),
                violation_error_message=_("A full import needs a scope."),
            ),
            models.CheckConstraint(
                name="import_undoes_when_it_is_an_undo",
                condition=Q(kind=UNDO, undoes__isnull=False) | (~Q(kind=UNDO) & Q(undoes__isnull=True)),
                violation_error_message=_("An undo refers to the import that it undoes."),
            ),
        ]
        indexes = [models.Index(fields=["client", "dataset", "-id"], name="import_by_client_and_dataset")]

    def __str__(self) -> str:
        return f"{self.pk} {translated_label(self.kind)} {self.file_name}".strip()

    @property
    def dataset_key(self) -> DatasetKey:
        return DatasetKey(self.client_id, self.dataset)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def errors(self) -> int:
        return int(self.counts.get("error", 0))

    @property
    def seconds(self) -> float | None:
        """The duration of the work in seconds, until now or until the import ended; None if the work has not begun."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def rows_per_second(self) -> float | None:
        return rows_per_second(self.counts, self.started_at, self.finished_at)

    @property
    def applied_rows(self) -> int:
        """The number of results without an error; 0 if nothing of the import is committed."""
        is_committed = self.checkpoint > 0 or self.state in FINISHED_STATES
        return sum(self.counts.values()) - self.errors if is_committed else 0

    @property
    def can_be_undone(self) -> bool:
        return self.kind != UNDO and self.applied_rows > 0 and self.can_transition_to(State.UNDONE)

    def can_transition_to(self, state: str) -> bool:
        return state in TRANSITIONS[self.state]

    def discard(self) -> None:
        """Delete the file and the outcomes. The import stays, with its counts."""
        FileChunk.objects.filter(file_import=self).delete()
        OutcomePage.objects.filter(file_import=self).delete()
        self.discarded_at = timezone.now()
        self.save(update_fields=["discarded_at"])


class Progress(models.Model):
    """
    The progress of an import, and whether a user has requested that the current work stop.

    It is a row of its own, because the process that works on the import holds a lock on the import's row.
    """

    file_import = models.OneToOneField(Import, on_delete=models.CASCADE, primary_key=True, related_name="progress")
    rows = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)
    wants_cancel = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.file_import_id}: {self.rows}"


class FileChunk(models.Model):
    """A compressed piece of an import's file."""

    file_import = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    position = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["file_import", "position"], name="file_chunk_by_position")]

    def __str__(self) -> str:
        return f"{self.file_import_id}: {self.position}"


class OutcomePage(models.Model):
    """
    The outcomes of consecutive rows, as compressed JSON.

    One database row for each row of a file would cost as much as the import itself.
    """

    file_import = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="pages", db_index=False)
    part = models.CharField(max_length=32, blank=True)
    position = models.PositiveIntegerField()
    counts = models.JSONField(default=dict)
    content = models.BinaryField()

    class Meta:
        default_permissions = ()
        ordering = [F("position").asc()]
        constraints = [models.UniqueConstraint(fields=["file_import", "position"], name="outcome_page_by_position")]

    def __str__(self) -> str:
        return f"{self.file_import_id}: {self.position}"


class Worker(models.Model):
    """A background worker process, and the time of its last heartbeat."""

    name = models.CharField(max_length=255, primary_key=True)
    seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
