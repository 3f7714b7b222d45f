"""The admin of students, terms, of courses with their seats and enrollments, and of grades."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import courses.admin
from bulk.admin.list_export import ListExport
from courses.models import Course, Grade, Term
from school.admin_site.deletion import ProtectedByRelation
from school.admin_site.stale_forms import StaleFormCheck
from students.admin.actions.activate import ActivationActions
from students.admin.actor import actor_from_request
from students.admin.dashboard.statistics import running_term_filter
from students.admin.holds import HoldActions, HoldFilter
from students.admin.pages.course import CoursePage
from students.admin.pages.student import StudentPage
from students.admin.personal_data import PersonalDataViews
from students.admin.search import visible_rows
from students.enrollment import (
    lock_to_deactivate,
    lock_waitlisted_courses,
    promote,
    promote_by_grades,
    promote_in_changed_course,
    promote_in_terms,
)
from students.enrollment.affected_courses import dependence_of
from students.exports import STUDENTS
from students.models import Student, StudentCourse
from students.seats import annotate_seats, get_seats

MAX_PROMOTION_MESSAGES = 100


@admin.register(Student)
class StudentAdmin(
    ListExport, StaleFormCheck, ActivationActions, HoldActions, ProtectedByRelation, PersonalDataViews, StudentPage
):
    actions: Any = [*ActivationActions.actions, *HoldActions.actions]
    list_export = STUDENTS
    protected_by = "enrollments"
    list_display = ["student_number", "family_name", "given_name", "email", "is_active"]
    list_display_links = ["student_number", "family_name"]
    empty_hint = gettext_lazy("Add a student, or import a file of students.")
    list_filter = ["is_active", HoldFilter]
    search_fields = ["student_number", "family_name", "given_name", "email"]
    show_full_result_count = False
    fields = ["student_number", "given_name", "family_name", "email", "max_credits", "is_active"]

    def lock_row(self, row: Any) -> None:
        lock_waitlisted_courses([row.pk])  # courses are always locked before students
        super().lock_row(row)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        locked_course_ids = lock_waitlisted_courses([obj.pk]) if change else []
        if change and not obj.is_active:
            lock_to_deactivate([obj.pk])
        super().save_model(request, obj, form, change)
        message_promotions(request, promote(locked_course_ids, actor=actor_from_request(request)))


HAS_FREE_SEATS = Q(capacity__isnull=True) | Q(seats_taken__lt=F("capacity"))


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
                return queryset.filter(HAS_FREE_SEATS)
            case "line":
                return queryset.filter(waitlist_length__gt=0)
            case "held_up":
                return queryset.filter(HAS_FREE_SEATS, waitlist_length__gt=0)
        return queryset


@admin.register(Course)
class CourseAdmin(ActivationActions, ProtectedByRelation, CoursePage, courses.admin.CourseAdmin):
    protected_by = "enrollments"
    actions_detail: Any = ["staff", "cancel_course", "undo_cancellation"]
    list_display = ["code", "name", "term_code", "section", "capacity", "taken", "free", "waiting", "is_active"]
    empty_hint = gettext_lazy("Add a course, or import a file of courses.")
    list_filter = [SeatsFilter, *courses.admin.CourseAdmin.list_filter]
    readonly_fields = ["taken", "free", "waiting"]
    fieldsets: ClassVar[list[Any]] = [
        *courses.admin.CourseAdmin.fieldsets,
        (gettext_lazy("Seats"), {"fields": ["taken", "free", "waiting"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return annotate_seats(super().get_queryset(request))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        # The form that restores an earlier version knows only that version, not the present values.
        before = dependence_of(Course.objects.get(pk=obj.pk)) if change else {}
        super().save_model(request, obj, form, change)
        message_promotions(request, promote_in_changed_course(obj, before, actor=actor_from_request(request)))
        for warning in get_seats(Course.objects.get(pk=obj.pk)).warnings:
            messages.warning(request, warning.message)

    def default_filters(self, request: HttpRequest) -> dict[str, Any]:
        return running_term_filter(request, "term")

    @admin.display(description=gettext_lazy("term"), ordering="term__starts_on")
    def term_code(self, course: Course) -> str | None:
        return course.term.code if course.term else None

    @admin.display(description=gettext_lazy("taken"))
    def taken(self, course: Course) -> int:
        return get_seats(course).taken

    @admin.display(description=gettext_lazy("free"))
    def free(self, course: Course) -> Any:
        seats = get_seats(course)
        if seats.over:
            return format_html("<strong>{}</strong>", _("%(over)s over capacity") % {"over": seats.over})
        return gettext_lazy("no limit") if seats.free is None else seats.free

    @admin.display(description=gettext_lazy("waitlisted"))
    def waiting(self, course: Course) -> int:
        return get_seats(course).waiting


@admin.register(Term)
class TermAdmin(courses.admin.TermAdmin):
    """Terms. By a change, such as more credits, waitlisted students may get free seats."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        message_promotions(request, promote_in_terms([obj.pk], actor=actor_from_request(request)))


@admin.register(Grade)
class GradeAdmin(courses.admin.GradeAdmin):
    """Grades. By a change of the table, waitlisted students may meet prerequisites, and get free seats."""

    empty_hint = gettext_lazy("Add the grades. While there are none, a completion may have any grade, and passes.")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._promote(request)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        self._promote(request)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Grade]) -> None:
        super().delete_queryset(request, queryset)
        self._promote(request)

    def _promote(self, request: HttpRequest) -> None:
        message_promotions(request, promote_by_grades(actor=actor_from_request(request)))


def message_promotions(request: HttpRequest, promoted: list[StudentCourse]) -> None:
    """Show a message for each enrollment that got a seat by the change, if the user may see the enrollment."""
    visible = set(
        visible_rows(request, StudentCourse).filter(pk__in=[each.pk for each in promoted]).values_list("pk", flat=True)
    )
    for enrollment in [each for each in promoted if each.pk in visible][:MAX_PROMOTION_MESSAGES]:
        messages.info(request, _("%(who)s moved from the waitlist to a seat.") % {"who": enrollment})
