"""Read-only admin of the record of access to personal data."""

from django.contrib import admin
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from school.access.read_only_admin import ReadOnlyMixin
from school.models import PersonalDataAccess


@admin.register(PersonalDataAccess)
class AccessRecordAdmin(ReadOnlyMixin, ModelAdmin):
    """
    Lists each view, export and erasure of personal data with its user, newest first.

    The database refuses changes of a row.
    """

    list_display = ["at", "actor", "action", "subject", "about", "door", "reason"]
    list_display_links = ["at"]
    list_filter = ["action", "subject", "door", "at"]
    list_select_related = ["actor", "course__term"]
    fields = ["at", "actor", "action", "subject", "about", "door", "reason", "request_id"]
    readonly_fields = ["about"]
    ordering = ["-id"]
    sortable_by: list[str] = []
    search_fields = ["actor__username"]
    show_full_result_count = False
    counts_entries = True  # the page shows "12 entries", because the plural name of the model cannot be counted

    @admin.display(description=gettext_lazy("about"))
    def about(self, line: PersonalDataAccess) -> str:
        return line.about
