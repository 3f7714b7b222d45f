"""The admin of students and of courses, with their seats and enrollments."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import courses.admin
from courses.models import Course
from courses.prerequisites import courses_asking_for
from school.desk.protected_delete import KeptByHistory
from school.desk.stale_forms import StaleFormCheck
from students.admin.actions.activate import ActivityPages
from students.admin.actor import origin_of
from students.admin.pages.course import CoursePage
from students.admin.pages.student import StudentPage
from students.admin.personal_data import PersonalDataPages
from students.admin.search import seen
from students.enrollment import courses_waited_for, lock_to_deactivate, promote
from students.models import Student, StudentCourse
from students.seats import seats_of, with_seats

SHOWN_PROMOTED = 100


@admin.register(Student)
class StudentAdmin(StaleFormCheck, ActivityPages, KeptByHistory, PersonalDataPages, StudentPage):
    kept_by = "enrollments"
    list_display = ["student_number", "family_name", "given_name", "email", "is_active"]
    list_display_links = ["student_number", "family_name"]
    list_filter = ["is_active"]
    search_fields = ["student_number", "family_name", "given_name", "email"]
    show_full_result_count = False
    fields = ["student_number", "given_name", "family_name", "email", "is_active"]

    def lock_row(self, row: Any) -> None:
        courses_waited_for([row.pk])  # courses are always locked before students
        super().lock_row(row)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        waited_for = courses_waited_for([obj.pk]) if change else []
        if change and not obj.is_active:
            lock_to_deactivate([obj.pk])
        super().save_model(request, obj, form, change)
        tell_promoted(request, promote(waited_for, origin=origin_of(request)))


SOME_FREE = Q(capacity__isnull=True) | Q(seats_taken__lt=F("capacity"))


class SeatsFilter(admin.SimpleListFilter):
    title = gettext_lazy("seats")
    parameter_name = "seats"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("over", gettext_lazy("over capacity")),
            ("full", gettext_lazy("no free seats")),
            ("free", gettext_lazy("with free seats")),
            ("line", gettext_lazy("with a waitlist")),
            ("held_up", gettext_lazy("with a waitlist and free seats")),
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
class CourseAdmin(ActivityPages, KeptByHistory, CoursePage, courses.admin.CourseAdmin):
    kept_by = "enrollments"
    list_display = ["code", "name", "term", "capacity", "taken", "free", "waiting", "is_active"]
    list_filter = [SeatsFilter, *courses.admin.CourseAdmin.list_filter]
    readonly_fields = ["taken", "free", "waiting"]
    fieldsets: ClassVar[list[Any]] = [
        *courses.admin.CourseAdmin.fieldsets,
        (gettext_lazy("Seats"), {"fields": ["taken", "free", "waiting"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return with_seats(super().get_queryset(request))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        asking = courses_asking_for({obj.code}) if change and "code" in form.changed_data else []
        tell_promoted(request, promote([obj.pk, *(each.pk for each in asking)], origin=origin_of(request)))
        for warning in seats_of(Course.objects.get(pk=obj.pk)).warnings:
            messages.warning(request, warning.message)

    @admin.display(description=gettext_lazy("taken"))
    def taken(self, course: Course) -> int:
        return seats_of(course).taken

    @admin.display(description=gettext_lazy("free"))
    def free(self, course: Course) -> Any:
        seats = seats_of(course)
        if seats.over:
            return format_html("<strong>{}</strong>", _("%(over)s over capacity") % {"over": seats.over})
        return gettext_lazy("no limit") if seats.free is None else seats.free

    @admin.display(description=gettext_lazy("waitlisted"))
    def waiting(self, course: Course) -> int:
        return seats_of(course).waiting


def tell_promoted(request: HttpRequest, promoted: list[StudentCourse]) -> None:
    """Show a message for each enrollment that got a seat by the change, if the user may see the enrollment."""
    visible = set(
        seen(request, StudentCourse).filter(pk__in=[each.pk for each in promoted]).values_list("pk", flat=True)
    )
    for enrollment in [each for each in promoted if each.pk in visible][:SHOWN_PROMOTED]:
        messages.info(request, _("%(who)s moved from the waitlist to a seat.") % {"who": enrollment})
