"""The read-only admin of recent refusals, with their reasons."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from school.access.read_only_admin import ReadOnlyMixin
from school.admin_site.row_access import RowScopeFilter
from students.models import RefusedAct
from students.templatetags.refusal_titles import TITLES, titles


class ReasonFilter(admin.SimpleListFilter):
    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(TITLES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        code = self.value()
        return queryset.for_reason(code) if code else queryset


@admin.register(RefusedAct)
class RefusalAdmin(ReadOnlyMixin, ModelAdmin):
    """A read-only list of refusals."""

    list_display = ["student", "course_code", "reason_titles", "at", "channel"]
    empty_hint = gettext_lazy(
        "Refusals of programs and of staff are listed here. Those of files are in the report of their import."
    )
    list_filter = ["day", ReasonFilter, "channel", ("course__term", RowScopeFilter)]
    list_select_related = ["student", "course__term"]
    search_fields = ["=student__student_number", "=course__code"]
    search_help_text = gettext_lazy("A complete student number or course code.")
    show_full_result_count = False
    fields = ["at", "student", "course", "reason_titles", "action", "channel"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the refusals, fetched with student and course, which might be deleted before a later query."""
        return super().get_queryset(request).select_related(*self.list_select_related)

    @admin.display(description=gettext_lazy("course"), ordering="course__code")
    def course_code(self, refusal: RefusedAct) -> str:
        return refusal.course.full_code

    @admin.display(description=gettext_lazy("reasons"))
    def reason_titles(self, refusal: RefusedAct) -> str:
        return titles(refusal.codes.split())
