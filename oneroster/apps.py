"""The Django app ``oneroster``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OneRosterConfig(AppConfig):
    name = "oneroster"
    verbose_name = _("OneRoster")
    default_auto_field = "django.db.models.BigAutoField"
