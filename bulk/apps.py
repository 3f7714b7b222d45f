"""Configuration of the Django app ``bulk``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BulkConfig(AppConfig):
    name = "bulk"
    verbose_name = _("Imports")
    default_auto_field = "django.db.models.BigAutoField"
