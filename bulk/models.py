"""Imports: files that staff and programs have sent, what was made of them, and what became of each row."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bulk.words import word

UNDO = "undo"  # the kind of an import that takes another one back
ZIP = "zip"  # the kind of an import of several files in one
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


# What may follow each state. An import that was cancelled half way has applied something, and can be undone too.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    State.VALIDATING: (State.NEEDS_REVIEW, State.APPLYING, State.FAILED, State.CANCELLED),
    State.NEEDS_REVIEW: (State.APPLYING, State.CANCELLED),
    State.APPLYING: (State.NEEDS_REVIEW, State.DONE, State.DONE_WITH_ERRORS, State.FAILED, State.CANCELLED),
    State.DONE: (State.UNDONE, State.PARTLY_UNDONE),
    State.DONE_WITH_ERRORS: (State.UNDONE, State.PARTLY_UNDONE),
    State.FAILED: (),
    State.CANCELLED: (State.UNDONE, State.PARTLY_UNDONE),
    State.UNDONE: (),
    State.PARTLY_UNDONE: (State.UNDONE, State.PARTLY_UNDONE),
}
ACTIVE = (State.VALIDATING, State.NEEDS_REVIEW, State.APPLYING)
AT_WORK = (State.VALIDATING, State.APPLYING)  # somebody has to work on it
FINISHED = (State.DONE, State.DONE_WITH_ERRORS)


class Mode(models.TextChoices):
    DELTA = "delta", _("delta: rows that are not in the file are left alone")
    FULL = "full", _("full: what the file no longer lists ends")


class OnError(models.TextChoices):
    ABORT = "abort", _("apply nothing")
    SKIP = "skip", _("apply the good rows")


class Review(models.TextChoices):
    """Whether an import waits for a person: always, or where it would end more than it should by itself."""

    ALWAYS = "always", _("always")
    NEEDED = "needed", _("where it is needed")
    DRY_RUN = "dry_run", _("only tell what would happen")


class Door(models.TextChoices):
    API = "api", _("API")
    ADMIN = "admin", _("admin")
    COMMAND = "command", _("command")


class Import(models.Model):
    """
    A file and what is made of it. ``kind`` says what its rows are, ``dataset`` which source it comes from.

    ``options`` are those of its kind. ``counts`` has the rows by outcome, ``checkpoint`` how many of them are applied
    and kept; ``problems`` say why the file as a whole was not applied. ``fingerprint`` is of the outcomes that were
    shown for review. Whoever works on it holds the row's lock in every transaction, and a lease in between.
    """

    kind = models.CharField(_("kind"), max_length=32)
    undoes = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="undone_by", verbose_name=_("undoes")
    )
    dataset = models.CharField(_("dataset"), max_length=64, default=DEFAULT_DATASET)
    mode = models.CharField(_("mode"), max_length=8, choices=Mode, default=Mode.DELTA)
    scope = models.CharField(_("scope"), max_length=128, blank=True)
    on_error = models.CharField(_("on error"), max_length=8, choices=OnError, default=OnError.ABORT)
    review = models.CharField(_("review"), max_length=8, choices=Review, default=Review.ALWAYS)
    options = models.JSONField(_("options"), default=dict, blank=True)
    rights = models.JSONField(_("rights"), default=list, blank=True)

    file_name = models.CharField(_("file"), max_length=255, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)

    door = models.CharField(_("door"), max_length=8, choices=Door)
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
    rows = models.PositiveIntegerField(_("rows"), null=True, blank=True)
    counts = models.JSONField(_("counts"), default=dict, blank=True)
    ending = models.PositiveIntegerField(_("would end"), default=0)
    in_scope = models.PositiveIntegerField(_("in scope"), default=0)
    fingerprint = models.CharField(max_length=64, blank=True)
    checkpoint = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    discarded_at = models.DateTimeField(
        _("discarded at"),
        null=True,
        blank=True,
        help_text=_("Since when its file and its outcomes are gone."),
    )
    lease_owner = models.CharField(max_length=255, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        # An import is never deleted, so nobody is given the permission to.
        default_permissions = ("add", "change", "view")
        constraints = [
            models.UniqueConstraint(
                name="import_is_one_at_a_time",
                fields=["dataset"],
                condition=Q(state__in=ACTIVE),
                violation_error_code="import_in_progress",
                violation_error_message=_("Another import of this dataset is at work or waits for its review."),
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
                violation_error_message=_("An undo says which import it undoes."),
            ),
        ]
        indexes = [models.Index(fields=["dataset", "-id"], name="import_by_dataset")]

    def __str__(self) -> str:
        return f"{self.pk} {word(self.kind)} {self.file_name}".strip()

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def errors(self) -> int:
        return int(self.counts.get("error", 0))

    @property
    def seconds(self) -> float | None:
        """How long it has taken so far, or took."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def rows_per_second(self) -> float | None:
        """How fast it went. None while nothing can be told."""
        told = sum(self.counts.values()) if self.counts else 0
        return round(told / self.seconds, 1) if self.finished_at and self.seconds and told else None

    def may_become(self, state: str) -> bool:
        return state in TRANSITIONS[self.state]


class Progress(models.Model):
    """
    How far an import is, and whether somebody wants it to stop.

    Apart from the import, whose row is locked by who works on it.
    """

    file_import = models.OneToOneField(Import, on_delete=models.CASCADE, primary_key=True, related_name="progress")
    rows = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)
    wants_cancel = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.file_import_id}: {self.rows}"


class FileChunk(models.Model):
    """A piece of an import's file, compressed."""

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
    What became of some rows that follow each other, packed.

    A row of the database for each row of a file would cost as much as the import itself.
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
    """A process that works in the background, and when it was last heard of."""

    name = models.CharField(max_length=255, primary_key=True)
    seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
