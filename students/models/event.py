"""The journal of every change to an enrollment."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bulk.models import Import
from school.i18n.stored_messages import from_stored, translate_stored
from students.models.enrollment import Status, StudentCourse


class Channel(models.TextChoices):
    """The channel that a command came through."""

    API = "api", _("API")
    ADMIN = "admin", _("admin")
    IMPORT = "import", _("import")
    COMMAND = "command", _("command")
    SYSTEM = "system", _("system")


class Action(models.TextChoices):
    """The actions on an enrollment that the journal records."""

    ENROLL = "enroll", _("enrolled")
    DROP = "drop", _("dropped")
    COMPLETE = "complete", _("completed")
    UNDO = "undo", _("undone")
    PROMOTE = "promote", _("promoted")
    PASS_OVER = "pass_over", _("passed over")
    ADOPT = "adopt", _("adopted")


class EnrollmentEvent(models.Model):
    """
    A journal entry: the action on an enrollment, its time, its actor and its channel.

    Entries are only ever added. ``changes`` maps the name of each changed field, except the status, to ``[before,
    after]``. ``waived`` has the codes of the rules that refused the command and were waived. ``refusals`` has the codes
    of the rules because of which a waitlisted student was passed over. An adoption changes nothing in the enrollment:
    from then on the enrollment belongs to the dataset of ``file_import``.
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
    # The parts from which a reason that the system gave is translated. None for a reason that a person wrote.
    reason_parts = models.JSONField(null=True, blank=True, editable=False)
    waived = models.JSONField(_("waived rules"), default=list)
    refusals = models.JSONField(_("refusals"), default=list)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    # Imports are never deleted, so a foreign key check for each of the million rows of an import has no use.
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
            # This index serves the admin page with the changes of one request and the promotions that followed.
            models.Index(
                fields=["request_id"],
                name="event_by_click",
                condition=Q(channel__in=[Channel.ADMIN, Channel.SYSTEM]),
            ),
        ]

    @property
    def localized_reason(self) -> str:
        """
        The reason.

        A reason that the system gave is translated into the current language; any other is as the user wrote it.
        """
        return translate_stored(from_stored(self.reason, self.reason_parts))

    def __str__(self) -> str:
        return f"{self.enrollment_id}: {self.get_from_status_display() or '–'} → {self.get_to_status_display()}"
