"""Who was refused, and why: for who looks after it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from students.models import RefusedAct
from students.templatetags.codes import TITLES, titles


class ReasonFilter(admin.SimpleListFilter):
    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(TITLES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        code = self.value()
        return queryset.for_reason(code) if code else queryset


@admin.register(RefusedAct)
class RefusalAdmin(ModelAdmin):
    """Refusals are looked at here, and made by nobody."""

    list_display = ["at", "student", "course", "why", "action", "channel"]
    list_filter = ["day", ReasonFilter, "channel", "course__term"]
    list_select_related = ["student", "course__term"]
    search_fields = ["=student__student_number", "=course__code"]
    search_help_text = gettext_lazy("A student number or the code of a course, whole.")
    show_full_result_count = False
    fields = ["at", "student", "course", "why", "action", "channel"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("why"))
    def why(self, refused: RefusedAct) -> str:
        return titles(refused.codes.split())
