"""The read-only admin of the journal of all enrollments."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from school.access.read_only_admin import ReadOnlyMixin
from school.admin_site.list_page import badge, short_date
from students.models import Action, EnrollmentEvent, StudentCourse
from students.templatetags.refusal_titles import titles

# Actions whose name says more than the status that they lead to.
NAMED_ACTIONS = (Action.UNDO, Action.PROMOTE, Action.PASS_OVER, Action.ADOPT)


@admin.register(EnrollmentEvent)
class EnrollmentEventAdmin(ReadOnlyMixin, ModelAdmin):
    """All journal entries, the latest first. They cannot be added here, and never be changed or deleted."""

    list_display = ["student", "course", "change", "when", "by", "localized_reason"]
    empty_hint = gettext_lazy("Each change of an enrollment adds an entry.")
    fields = [
        *("enrollment", "action", "at", "actor", "channel", "from_status", "to_status"),
        *("changed_fields", "localized_reason", "waived_rules", "skip_reasons", "request_id", "file_import"),
    ]
    readonly_fields = ["changed_fields", "localized_reason", "waived_rules", "skip_reasons"]
    list_filter = ["action", "channel", "at"]
    list_select_related = ["actor", "enrollment__student", "enrollment__course__term"]
    ordering = ["-id"]
    sortable_by: list[str] = []  # the journal is ordered by id; another order would sort millions of rows
    search_fields = ["enrollment"]  # only switches the search on; ``get_search_results`` defines it
    search_help_text = gettext_lazy("A complete student number or course code.")
    show_full_result_count = False
    counts_entries = True  # the pagination counts "entries", since the plural name is not countable

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Find entries by a student number or course code. A search over all columns would read the whole journal."""
        if not (word := search_term.strip()):
            return queryset, False
        of_student = StudentCourse.objects.filter(student__student_number=word)
        of_course = StudentCourse.objects.filter(course__code=word)
        return queryset.filter(enrollment__in=[*_ids(of_student), *_ids(of_course)]), False

    @admin.display(description=gettext_lazy("student"))
    def student(self, event: EnrollmentEvent) -> Any:
        return event.enrollment.student

    @admin.display(description=gettext_lazy("course"))
    def course(self, event: EnrollmentEvent) -> str:
        return event.enrollment.course.full_code

    @admin.display(description=gettext_lazy("change"))
    def change(self, event: EnrollmentEvent) -> str:
        """The status after the change, and the action where the status does not say it."""
        after = badge(event.to_status, event.get_to_status_display())
        if event.action in NAMED_ACTIONS or event.from_status == event.to_status:
            return format_html("{} {}", after, event.get_action_display())
        return after

    @admin.display(description=gettext_lazy("at"))
    def when(self, event: EnrollmentEvent) -> str:
        return short_date(event.at)

    @admin.display(description=gettext_lazy("by"))
    def by(self, event: EnrollmentEvent) -> str:
        channel = event.get_channel_display()
        return f"{event.actor} · {channel}" if event.actor else channel

    @admin.display(description=gettext_lazy("reason"))
    def localized_reason(self, event: EnrollmentEvent) -> str:
        return event.localized_reason

    @admin.display(description=gettext_lazy("changes"))
    def changed_fields(self, event: EnrollmentEvent) -> str:
        names = {each.attname: str(each.verbose_name) for each in StudentCourse._meta.fields}
        return "; ".join(
            f"{names.get(name, name)}: {_plain(before)} → {_plain(after)}"
            for name, (before, after) in event.changes.items()
        )

    @admin.display(description=gettext_lazy("waived rules"))
    def waived_rules(self, event: EnrollmentEvent) -> str:
        return titles(event.waived)

    @admin.display(description=gettext_lazy("refusals"))
    def skip_reasons(self, event: EnrollmentEvent) -> str:
        return titles(event.refusals)


def _plain(value: str | None) -> str:
    return value or "–"


def _ids(enrollments: QuerySet[StudentCourse]) -> list[int]:
    return list(enrollments.order_by().values_list("pk", flat=True))
