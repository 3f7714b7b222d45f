"""The journal of all enrollments, to be read."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from students.models import EnrollmentEvent, StudentCourse
from students.templatetags.codes import titles


@admin.register(EnrollmentEvent)
class JournalAdmin(ModelAdmin):
    """Every act on every enrollment, the newest first. Nobody adds to it here, and nobody changes it anywhere."""

    list_display = ["id", "at", "enrollment", "action", "from_status", "to_status", "actor", "channel", "told"]
    list_display_links = ["id", "at"]
    fields = [
        *("enrollment", "action", "at", "actor", "channel", "from_status", "to_status"),
        *("what_changed", "told", "waived_rules", "against_who_waits", "request_id", "file_import"),
    ]
    readonly_fields = ["what_changed", "told", "waived_rules", "against_who_waits"]
    list_filter = ["action", "channel", "at"]
    list_select_related = ["actor", "enrollment__student", "enrollment__course__term"]
    ordering = ["-id"]
    sortable_by: list[str] = []  # the order of the journal is the order of its ids; others would sort millions of rows
    search_fields = ["enrollment"]  # that there is a search; what it does is below
    search_help_text = gettext_lazy("A student number or the code of a course, whole.")
    show_full_result_count = False
    counts_entries = True  # its plural is no number of things

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Look by the enrollments of one student or one code: over all columns at once it would read every line."""
        if not (word := search_term.strip()):
            return queryset, False
        of_student = StudentCourse.objects.filter(student__student_number=word)
        of_course = StudentCourse.objects.filter(course__code=word)
        return queryset.filter(enrollment__in=[*_ids(of_student), *_ids(of_course)]), False

    @admin.display(description=gettext_lazy("reason"))
    def told(self, event: EnrollmentEvent) -> str:
        return event.reason_told or "-"

    @admin.display(description=gettext_lazy("changes"))
    def what_changed(self, event: EnrollmentEvent) -> str:
        names = {each.name: str(each.verbose_name) for each in StudentCourse._meta.fields}
        return "; ".join(
            f"{names.get(name, name)}: {_plain(before)} → {_plain(after)}"
            for name, (before, after) in event.changes.items()
        )

    @admin.display(description=gettext_lazy("waived rules"))
    def waived_rules(self, event: EnrollmentEvent) -> str:
        return titles(event.waived)

    @admin.display(description=gettext_lazy("refusals"))
    def against_who_waits(self, event: EnrollmentEvent) -> str:
        return titles(event.refusals)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _plain(value: str | None) -> str:
    return value or "–"


def _ids(enrollments: QuerySet[StudentCourse]) -> list[int]:
    return list(enrollments.order_by().values_list("pk", flat=True))
