"""Admin of terms, courses and their staff."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
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
from courses.exports import COURSES, TERMS
from courses.models import Course, CourseStaff, Term
from courses.prerequisites import check_prerequisites, deletion_refusals, refuse_deletion, rename_in_prerequisites
from school.access.row_scope import row_scope_of_staff
from school.admin_site.protected_delete import ProtectedByRelation
from school.admin_site.row_access import RowScopeFilter
from school.refusals import Refused
from school.validators import normalized


@admin.register(Term)
class TermAdmin(ListExport, ProtectedByRelation, SimpleHistoryAdmin, ModelAdmin):
    list_export = TERMS
    protected_by = "courses"
    list_display = ["code", "name", "starts_on", "ends_on", "drop_deadline"]
    search_fields = ["code", "name"]


class CodesField(forms.CharField):
    """A form field for a list of codes, which the user types separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return list(dict.fromkeys(code for part in (value or "").split(",") if (code := normalized(part))))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(self.prepare_value(initial)) != self.to_python(data)


class CourseForm(forms.ModelForm):
    prerequisites = CodesField(
        label=gettext_lazy("Prerequisites"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy(
            "The codes of the courses that must be completed first, in any term, separated by commas."
        ),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            check_prerequisites(cleaned["code"], cleaned["prerequisites"], course_id=self.instance.pk)
        return cleaned


class CourseAdmin(ListExport, SimpleHistoryAdmin, ModelAdmin):
    """The admin of courses without students. ``students.admin`` registers a subclass with seats and roster."""

    list_export = COURSES

    list_display = ["code", "name", "term", "level", "is_active"]
    list_display_links = ["code", "name"]
    list_filter: list[Any] = ["is_active", "level", ("term", RowScopeFilter)]
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

    actions_detail = ["staff"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("term")

    @transaction.atomic  # the form checks the prerequisites, which stay locked until the form is saved
    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, **kwargs: Any) -> Any:
        return super().history_form_view(request, object_id, version_id, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
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
