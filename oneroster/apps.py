"""The Django app ``oneroster``."""

from django.apps import AppConfig


class OneRosterConfig(AppConfig):
    name = "oneroster"
    verbose_name = "OneRoster"
    default_auto_field = "django.db.models.BigAutoField"
