"""The programs that use the API, and the answers kept for their retries."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AbstractApplication


class ApiClient(AbstractApplication):
    """
    A program that takes tokens by the client credentials grant, for the scopes it was made with and no others.

    ``user`` is its service account: it acts in the journal, and deactivating it stops the program.
    """

    scope = models.TextField(_("scope"), blank=True, help_text=_("What it may ask for, parted by blanks."))
    # Not told from the lists: a term that is deleted leaves them, and must not leave its client without limits.
    is_limited = models.BooleanField(
        _("limited"),
        default=False,
        help_text=_("It sees and changes only what lies in these terms and courses: with none of them, nothing."),
    )
    terms: "models.ManyToManyField[Any, Any]" = models.ManyToManyField(
        "courses.Term", blank=True, related_name="+", verbose_name=_("terms")
    )
    courses: "models.ManyToManyField[Any, Any]" = models.ManyToManyField(
        "courses.Course", blank=True, related_name="+", verbose_name=_("courses")
    )
    last_used_at = models.DateTimeField(
        _("last used"), null=True, blank=True, editable=False, help_text=_("To within a minute.")
    )

    class Meta(AbstractApplication.Meta):
        verbose_name = _("API client")
        verbose_name_plural = _("API clients")

    def is_usable(self, request: Any) -> bool:
        return self.user is not None and self.user.is_active


class KeptAnswer(models.Model):
    """What a request with an Idempotency-Key was answered, for who sends it again."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("account")
    )
    key = models.CharField(_("key"), max_length=255)
    fingerprint = models.CharField(_("fingerprint"), max_length=64, help_text=_("Of method, address and body."))
    status = models.PositiveSmallIntegerField(_("status"))
    headers = models.JSONField(_("headers"), default=dict)
    content_type = models.CharField(_("content type"), max_length=100)
    body = models.TextField(_("body"), blank=True)
    at = models.DateTimeField(_("at"), db_index=True)

    class Meta:
        verbose_name = _("kept answer")
        verbose_name_plural = _("kept answers")
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="answer_is_kept_once", fields=["user", "key"])]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.status}"
