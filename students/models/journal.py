"""The journal of every change to an enrollment."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bulk.models import Import
from school.spoken import spoken
from students.models.enrollments import Status, StudentCourse


class Channel(models.TextChoices):
    """The door that an act came through."""

    API = "api", _("API")
    ADMIN = "admin", _("admin")
    IMPORT = "import", _("import")
    COMMAND = "command", _("command")
    SYSTEM = "system", _("system")


class Action(models.TextChoices):
    """What can happen to an enrollment."""

    ENROLL = "enroll", _("enrolled")
    DROP = "drop", _("dropped")
    COMPLETE = "complete", _("completed")
    UNDO = "undo", _("undone")
    PROMOTE = "promote", _("promoted")
    PASS_OVER = "pass_over", _("passed over")


class EnrollmentEvent(models.Model):
    """
    One line of the journal: what happened to an enrollment, when, by whom and through which door. Append-only.

    ``changes`` holds the fields that changed beside the status, each as ``[before, after]``. ``waived`` has the codes
    of the rules that stood against the act and were waived, ``refusals`` of those for which a seat went by who waits.
    """

    enrollment = models.ForeignKey(
        StudentCourse, on_delete=models.PROTECT, related_name="events", verbose_name=_("enrollment")
    )
    action = models.CharField(_("action"), max_length=16, choices=Action)
    at = models.DateTimeField(_("at"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("actor"),
    )
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    from_status = models.CharField(_("from"), max_length=16, choices=Status, blank=True)
    to_status = models.CharField(_("to"), max_length=16, choices=Status)
    changes = models.JSONField(_("changes"), default=dict)
    reason = models.TextField(_("reason"), blank=True)
    waived = models.JSONField(_("waived rules"), default=list)
    refusals = models.JSONField(_("refusals"), default=list)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    # Imports are never deleted, so nothing is gained by a check of each of a million rows of one and the same.
    file_import = models.ForeignKey(
        Import,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("import"),
    )

    class Meta:
        ordering = ["id"]
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["file_import", "id"], name="event_by_import", condition=Q(file_import__isnull=False)),
            # The desk shows again what came of a click, with what followed by itself.
            models.Index(
                fields=["request_id"],
                name="event_by_click",
                condition=Q(channel__in=[Channel.ADMIN, Channel.SYSTEM]),
            ),
        ]

    @property
    def reason_told(self) -> str:
        """The reason for people: what the journal says by itself is kept in English, and told in their language."""
        is_own = self.action == Action.PASS_OVER or self.channel == Channel.IMPORT
        return spoken(self.reason) if is_own else self.reason

    def __str__(self) -> str:
        return f"{self.enrollment_id}: {self.get_from_status_display() or '–'} → {self.get_to_status_display()}"
