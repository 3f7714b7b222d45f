"""The programs that use the API."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AbstractApplication


class ApiClient(AbstractApplication):
    """
    A program that takes tokens by the client credentials grant, for the scopes it was made with and no others.

    ``user`` is its service account: it acts in the journal, and deactivating it stops the program.
    """

    scope = models.TextField(_("scope"), blank=True, help_text=_("What it may ask for, parted by blanks."))

    class Meta(AbstractApplication.Meta):
        verbose_name = _("API client")
        verbose_name_plural = _("API clients")

    def is_usable(self, request: Any) -> bool:
        return self.user is not None and self.user.is_active
