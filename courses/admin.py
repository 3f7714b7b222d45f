"""Admin of terms, courses, their staff, and grades."""

from collections.abc import Collection
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from bulk.admin.list_export import ListExport
from courses.copy_page import CopyCourses
from courses.corequisites import check_corequisites
from courses.exports import COURSES, GRADES, TERMS
from courses.grades import table_refusals
from courses.meetings import format_meetings, parse_meetings
from courses.models import Course, CourseStaff, Grade
from courses.prerequisite_items import format_items, parse_codes, parse_items, split_codes
from courses.prerequisites import (
    check_prerequisites,
    deletion_refusals,
    lock_prerequisites,
    lock_sections,
    refuse_deletion,
    rename_in_prerequisites,
)
from school.access.row_scope import row_scope_of_staff
from school.admin_site.deletion import ProtectedByRelation
from school.admin_site.row_access import RowScopeFilter
from school.refusals import Refused


class TermAdmin(CopyCourses, ListExport, ProtectedByRelation, SimpleHistoryAdmin, ModelAdmin):
    """The admin of terms without students. ``students.admin`` registers a subclass that promotes students."""

    list_export = TERMS
    protected_by = "courses"
    list_display = ["code", "name", "starts_on", "ends_on", "drop_deadline", "census_on", "max_credits"]
    search_fields = ["code", "name"]


class PrerequisitesFormField(forms.CharField):
    """A form field for the items of prerequisites, which the user types as in a file."""

    def prepare_value(self, value: Any) -> Any:
        return format_items(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return split_codes(parse_items(value or ""), _existing_codes)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(self.prepare_value(initial)) != self.to_python(data))
        except ValidationError:
            return True


class CorequisitesFormField(PrerequisitesFormField):
    """A form field for the codes of corequisites."""

    def to_python(self, value: Any) -> Any:
        return split_codes(parse_codes(value or ""), _existing_codes)


class MeetingsFormField(forms.CharField):
    """A form field for meetings, which the user types as in a file."""

    def prepare_value(self, value: Any) -> Any:
        return format_meetings(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return parse_meetings(value or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or []) != self.to_python(data))
        except ValidationError:
            return True


def _existing_codes(codes: Collection[str]) -> set[str]:
    return set(Course.objects.filter(code__in=codes).values_list("code", flat=True))


class CourseForm(forms.ModelForm):
    prerequisites = PrerequisitesFormField(
        label=gettext_lazy("Prerequisites"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy(
            "The codes of the courses that must be passed first, in any term, separated by commas. CS-1|CS-2: one of "
            "them is enough. STAT-2>=C: with this grade or a better one."
        ),
    )

    corequisites = CorequisitesFormField(
        label=gettext_lazy("Corequisites"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy(
            "The codes of the courses that must be taken in the same term, or passed before, separated by commas."
        ),
    )
    meetings = MeetingsFormField(
        label=gettext_lazy("Meetings"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy(
            "The weekly meetings in local time, separated by semicolons: mon 10:00-11:30 R12; wed 10:00-11:30. With "
            "dates: mon 10:00-11:30 2026-09-07..2026-10-12 R12. Days: mon, tue, wed, thu, fri, sat, sun."
        ),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            check_prerequisites(cleaned["code"], cleaned["prerequisites"], course_id=self.instance.pk)
            check_corequisites(cleaned["code"], cleaned["corequisites"], course_id=self.instance.pk)
        return cleaned


class CourseAdmin(ListExport, SimpleHistoryAdmin, ModelAdmin):
    """The admin of courses without students. ``students.admin`` registers a subclass with seats and roster."""

    list_export = COURSES

    list_display = ["code", "section", "name", "term", "level", "is_active"]
    list_display_links = ["code", "name"]
    list_filter: list[Any] = ["is_active", "level", ("term", RowScopeFilter)]
    search_fields = ["code", "name"]
    autocomplete_fields = ["term"]
    form = CourseForm
    fieldsets: ClassVar[list[Any]] = [
        (None, {"fields": ["code", "name", "term", "section", "level", "is_active"]}),
        (
            gettext_lazy("Enrollment"),
            {
                "fields": [
                    "capacity",
                    "waitlist_capacity",
                    "enrollment_opens_at",
                    "enrollment_closes_at",
                    "prerequisites",
                    "credits",
                    "corequisites",
                    "meetings",
                ]
            },
        ),
    ]

    actions_detail: Any = ["staff"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("term")

    @transaction.atomic  # the form checks the prerequisites, which stay locked until the form is saved
    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, **kwargs: Any) -> Any:
        return super().history_form_view(request, object_id, version_id, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if {"code", "term", "section"} & {*form.changed_data}:
            lock_sections(obj.code, obj.pk)
        if change:
            try:
                rename_in_prerequisites(obj.pk, obj.code, row_scope_of_staff(request.user))
            except Refused as refused:
                raise PermissionDenied from refused
        super().save_model(request, obj, form, change)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        selected = list(objs)
        to_delete, numbers, missing_permissions, protected = super().get_deleted_objects(selected, request)
        refusals = deletion_refusals([each.pk for each in selected], row_scope_of_staff(request.user))
        return to_delete, numbers, missing_permissions, [*protected, *(each.message for each in refusals.values())]

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Course]) -> None:
        try:
            refuse_deletion(list(queryset.values_list("pk", flat=True)))
        except Refused as refused:  # since the check, another course has made one of these courses its prerequisite
            raise PermissionDenied from refused
        super().delete_queryset(request, queryset)

    def has_view_staff_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("courses.view_coursestaff"))

    @action(  # type: ignore[untyped-decorator]  # the theme has no types
        description=gettext_lazy("Staff"), url_path="staff", icon="badge", permissions=["view_staff"]
    )
    def staff(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect to the list of the course's staff."""
        return HttpResponseRedirect(f"{reverse('admin:courses_coursestaff_changelist')}?course__id__exact={object_id}")


class GradeForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            lock_prerequisites()
            changed = Grade(**{name: cleaned[name] for name in ("code", "passes", "rank")})
            for refusal in table_refusals(changed, [self.instance.pk] if self.instance.pk else []):
                self.add_error(refusal.field, ValidationError(refusal.message, code=refusal.code))
        return cleaned


class GradeAdmin(ListExport, SimpleHistoryAdmin, ModelAdmin):
    """The admin of grades without students. ``students.admin`` registers a subclass that promotes students."""

    list_export = GRADES
    list_display = ["code", "passes", "rank"]
    search_fields = ["code"]
    form = GradeForm

    @transaction.atomic  # the form checks the table of grades, which stays locked until the form is saved
    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, **kwargs: Any) -> Any:
        return super().history_form_view(request, object_id, version_id, **kwargs)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        selected = list(objs)
        to_delete, numbers, missing_permissions, protected = super().get_deleted_objects(selected, request)
        refusals = table_refusals(None, [each.pk for each in selected])
        return to_delete, numbers, missing_permissions, [*protected, *(each.message for each in refusals)]

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._check_deletion([obj.pk])
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Grade]) -> None:
        self._check_deletion(list(queryset.values_list("pk", flat=True)))
        super().delete_queryset(request, queryset)

    def _check_deletion(self, ids: Collection[int]) -> None:
        lock_prerequisites()
        if table_refusals(None, ids):  # since the check, the table or the prerequisites have changed
            raise PermissionDenied


@admin.register(CourseStaff)
class CourseStaffAdmin(ModelAdmin):
    """Assigns staff to courses. An assignment is added or deleted, never changed."""

    list_display = ["course", "user"]
    list_filter = [("course", AutocompleteSelectFilter)]
    list_filter_submit = True
    list_select_related = ["course__term", "user"]
    search_fields = ["course__code", "course__name", "user__username"]
    autocomplete_fields = ["course"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer only users that are limited to own courses: all other users see every course anyway."""
        if db_field.name == "user":
            limited = Q(groups__permissions__codename="own_courses_only")
            staff = get_user_model().objects.filter(limited | Q(user_permissions__codename="own_courses_only"))
            kwargs["queryset"] = staff.filter(is_staff=True, is_active=True).distinct().order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
