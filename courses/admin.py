"""Terms and courses for registrars."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from simple_history.admin import SimpleHistoryAdmin

from courses.models import Course, Term


@admin.register(Term)
class TermAdmin(SimpleHistoryAdmin):
    list_display = ["code", "name", "starts_on", "ends_on", "drop_deadline"]
    search_fields = ["code", "name"]


class CourseAdmin(SimpleHistoryAdmin):
    """A course by itself. ``students.admin`` registers it, with the seats and the roster that belong to students."""

    list_display = ["code", "name", "term", "level", "is_active"]
    list_display_links = ["code", "name"]
    list_filter = ["is_active", "level", "term"]
    search_fields = ["code", "name"]
    autocomplete_fields = ["term"]
    fieldsets = [
        (None, {"fields": ["code", "name", "term", "level", "is_active"]}),
        ("Enrollment", {"fields": ["capacity", "enrollment_opens_at", "enrollment_closes_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("term")
