"""Terms and courses for registrars."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from courses.models import Course, Term
from courses.prerequisites import check_prerequisites


@admin.register(Term)
class TermAdmin(SimpleHistoryAdmin, ModelAdmin):
    list_display = ["code", "name", "starts_on", "ends_on", "drop_deadline"]
    search_fields = ["code", "name"]


class CodesField(forms.CharField):
    """Codes in one line, parted by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return list(dict.fromkeys(code.strip() for code in (value or "").split(",") if code.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(self.prepare_value(initial)) != self.to_python(data)


class CourseForm(forms.ModelForm):
    prerequisites = CodesField(
        label=gettext_lazy("Prerequisites"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("The codes of what must be completed first, whatever the term, parted by commas."),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            check_prerequisites(cleaned["code"], cleaned["prerequisites"], course_id=self.instance.pk)
        return cleaned


class CourseAdmin(SimpleHistoryAdmin, ModelAdmin):
    """A course by itself. ``students.admin`` registers it, with the seats and the roster that belong to students."""

    list_display = ["code", "name", "term", "level", "is_active"]
    list_display_links = ["code", "name"]
    list_filter: list[Any] = ["is_active", "level", "term"]
    search_fields = ["code", "name"]
    autocomplete_fields = ["term"]
    form = CourseForm
    fieldsets: ClassVar[list[Any]] = [
        (None, {"fields": ["code", "name", "term", "level", "is_active"]}),
        (
            gettext_lazy("Enrollment"),
            {
                "fields": [
                    "capacity",
                    "waitlist_capacity",
                    "enrollment_opens_at",
                    "enrollment_closes_at",
                    "prerequisites",
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("term")
