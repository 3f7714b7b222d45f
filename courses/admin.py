"""Terms and courses for registrars."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from courses.models import Course, CourseStaff, Term
from courses.prerequisites import check_prerequisites
from school.deleting import KeptByHistory


@admin.register(Term)
class TermAdmin(KeptByHistory, SimpleHistoryAdmin, ModelAdmin):
    kept_by = "courses"
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

    actions_detail = ["staff"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("term")

    def has_see_staff_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("courses.view_coursestaff"))

    @action(  # type: ignore[untyped-decorator]  # the theme's
        description=gettext_lazy("Staff"), url_path="staff", icon="badge", permissions=["see_staff"]
    )
    def staff(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to who looks after the course."""
        return HttpResponseRedirect(f"{reverse('admin:courses_coursestaff_changelist')}?course__id__exact={object_id}")


@admin.register(CourseStaff)
class CourseStaffAdmin(ModelAdmin):
    """Who looks after which course: named and taken away again, never changed."""

    list_display = ["course", "user"]
    list_filter = [("course", AutocompleteSelectFilter)]
    list_filter_submit = True
    list_select_related = ["course__term", "user"]
    search_fields = ["course__code", "course__name", "user__username"]
    autocomplete_fields = ["course"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer whom the limits are for: everybody else sees every course anyway."""
        if db_field.name == "user":
            limited = Q(groups__permissions__codename="own_courses_only")
            staff = get_user_model().objects.filter(limited | Q(user_permissions__codename="own_courses_only"))
            kwargs["queryset"] = staff.filter(is_staff=True, is_active=True).distinct().order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
