"""The configuration of the Django app ``school`` and of Django's admin."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.utils.translation import gettext_lazy as _


class SchoolConfig(AppConfig):
    name = "school"
    verbose_name = _("School")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from school import deployment_checks  # noqa: F401  # it registers its checks


class SchoolAdminConfig(admin_apps.AdminConfig):
    """The app of Django's admin, with ``SchoolAdminSite`` as its default site."""

    default = False
    default_site = "school.admin_site.site.SchoolAdminSite"
