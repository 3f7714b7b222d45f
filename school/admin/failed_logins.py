"""Admin page of failed logins and of the user names that are locked because of them."""

from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin


@admin.register(AccessAttempt)
class FailedLoginAdmin(ModelAdmin):
    """Lists the recent failed logins by user name and IP address. Deleting a row unlocks the user name."""

    list_display = ["username", "ip_address", "failures_since_start", "attempt_time", "is_locked"]
    fields = ["username", "ip_address", "failures_since_start", "attempt_time"]
    readonly_fields = ["username", "ip_address", "failures_since_start", "attempt_time"]
    search_fields = ["username", "ip_address"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("locked"), boolean=True)
    def is_locked(self, attempt: AccessAttempt) -> bool:
        is_recent = attempt.attempt_time > timezone.now() - settings.AXES_COOLOFF_TIME
        return is_recent and attempt.failures_since_start >= settings.AXES_FAILURE_LIMIT
