"""Admin of staff users, their permissions and their own courses."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.unregister(User)


class OwnCoursesInline(TabularInline):
    """The courses that a member of course staff looks after."""

    model = User.staff_of.rel.related_model
    autocomplete_fields = ["course"]
    extra = 0
    verbose_name = _("own course")
    verbose_name_plural = _("own courses, for course staff")


@admin.register(User)
class StaffAdmin(UserAdmin, ModelAdmin):
    """Django's user admin with the forms of the theme."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = [OwnCoursesInline]
