"""Students and courses for registrars, with what is between them: seats, enrollments and their journal."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin

import courses.admin
from courses.models import Course
from school.limits import limits_of_staff, within
from students.admin.origin import origin_of
from students.admin.privacy import PersonalDataPages
from students.enrollment import courses_waited_for, promote
from students.models import EnrollmentEvent, Student, StudentCourse
from students.seats import seats_of, with_seats

PANEL_ROWS = 100
SHOWN_WITH_EVENTS = ("actor", "enrollment__student", "enrollment__course__term")


class EnrollmentsPanel(SimpleHistoryAdmin, ModelAdmin):
    """Show enrollments and their journal below the form, the newest of each, with links to the rest and to enroll."""

    change_form_template = "students/change_form_with_enrollments.html"
    side: str  # which side of an enrollment this is: "student" or "course"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        owner = context["original"]
        limits = limits_of_staff(request.user)
        enrollments = within(StudentCourse.objects.with_parties(), limits).filter(**{self.side: owner or None})
        events = within(EnrollmentEvent.objects.all(), limits).filter(**{f"enrollment__{self.side}": owner or None})
        panel = {
            "enrollments": enrollments[:PANEL_ROWS],
            "events": events.order_by("-pk").select_related(*SHOWN_WITH_EVENTS)[:PANEL_ROWS],
            "side": self.side,
            "owner": owner,
            "most": PANEL_ROWS,
        }
        return super().render_change_form(request, {**context, **panel}, *args, **kwargs)


@admin.register(Student)
class StudentAdmin(PersonalDataPages, EnrollmentsPanel):
    side = "student"
    list_display = ["student_number", "family_name", "given_name", "email", "is_active"]
    list_display_links = ["student_number", "family_name"]
    list_filter = ["is_active"]
    search_fields = ["student_number", "family_name", "given_name", "email"]
    show_full_result_count = False
    fields = ["student_number", "given_name", "family_name", "email", "is_active"]

    @transaction.atomic  # an earlier version that is saved again comes without
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        waited_for = courses_waited_for([obj.pk]) if change else []
        super().save_model(request, obj, form, change)
        tell_promoted(request, promote(waited_for, origin=origin_of(request)))


SOME_FREE = Q(capacity__isnull=True) | Q(seats_taken__lt=F("capacity"))


class SeatsFilter(admin.SimpleListFilter):
    title = gettext_lazy("seats")
    parameter_name = "seats"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("over", gettext_lazy("more enrolled than seats")),
            ("full", gettext_lazy("none free")),
            ("free", gettext_lazy("some free")),
            ("line", gettext_lazy("somebody waits")),
            ("held_up", gettext_lazy("somebody waits, some free")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "over":
                return queryset.filter(seats_taken__gt=F("capacity"))
            case "full":
                return queryset.filter(seats_taken__gte=F("capacity"))
            case "free":
                return queryset.filter(SOME_FREE)
            case "line":
                return queryset.filter(line_length__gt=0)
            case "held_up":
                return queryset.filter(SOME_FREE, line_length__gt=0)
        return queryset


@admin.register(Course)
class CourseAdmin(EnrollmentsPanel, courses.admin.CourseAdmin):
    side = "course"
    list_display = ["code", "name", "term", "capacity", "taken", "free", "waiting", "is_active"]
    list_filter = [SeatsFilter, *courses.admin.CourseAdmin.list_filter]
    readonly_fields = ["taken", "free", "waiting"]
    fieldsets: ClassVar[list[Any]] = [
        *courses.admin.CourseAdmin.fieldsets,
        (gettext_lazy("Seats"), {"fields": ["taken", "free", "waiting"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return with_seats(super().get_queryset(request))

    @transaction.atomic  # an earlier version that is saved again comes without
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        tell_promoted(request, promote([obj.pk], origin=origin_of(request)))
        for warning in seats_of(Course.objects.get(pk=obj.pk)).warnings:
            messages.warning(request, warning.message)

    @admin.display(description=gettext_lazy("taken"))
    def taken(self, course: Course) -> int:
        return seats_of(course).taken

    @admin.display(description=gettext_lazy("free"))
    def free(self, course: Course) -> Any:
        seats = seats_of(course)
        if seats.over:
            return format_html("<strong>{}</strong>", _("%(over)s over") % {"over": seats.over})
        return gettext_lazy("no limit") if seats.free is None else seats.free

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, course: Course) -> int:
        return seats_of(course).waiting


def tell_promoted(request: HttpRequest, promoted: list[StudentCourse]) -> None:
    """Say who got a seat by what was saved."""
    for enrollment in promoted[:PANEL_ROWS]:
        messages.info(request, _("%(who)s had waited and has a seat now.") % {"who": enrollment})
