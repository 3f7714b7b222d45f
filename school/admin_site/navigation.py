"""The navigation of the admin."""

from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def model_link(title: Any, icon: str, model: str) -> dict[str, Any]:
    """Return a navigation entry for the list of a model, shown to users with permission to view that list."""
    url_name = f"admin:{model.lower().replace('.', '_')}_changelist"

    def can_view(request: HttpRequest) -> bool:
        # Called later, because the settings import this module before the apps and the admin site exist.
        from django.contrib import admin

        return bool(admin.site.get_model_admin(apps.get_model(model)).has_view_or_change_permission(request))

    return {"title": title, "icon": icon, "link": reverse_lazy(url_name), "permission": can_view}


def is_enrollment_page(request: HttpRequest) -> bool:
    """Return True for a page about enrollments, except "Enroll many", which has its own navigation entry."""
    return request.path.startswith(str(ENROLLMENTS)) and request.path != str(ENROLL_MANY)


ENROLLMENTS = reverse_lazy("admin:students_studentcourse_changelist")
ENROLL_MANY = reverse_lazy("admin:students_studentcourse_enroll_many")
HOME = {"title": _("Home"), "icon": "home", "link": reverse_lazy("admin:index")}
NAVIGATION = [
    {"items": [HOME]},
    {
        "title": _("Registration"),
        "items": [
            {**model_link(_("Enrollments"), "how_to_reg", "students.StudentCourse"), "active": is_enrollment_page},
            {
                "title": _("Enroll many"),
                "icon": "group_add",
                "link": ENROLL_MANY,
                "permission": lambda request: request.user.has_perm("students.add_studentcourse"),
            },
            model_link(_("Students"), "groups", "students.Student"),
            model_link(_("Holds"), "front_hand", "students.Hold"),
            model_link(_("Courses"), "menu_book", "courses.Course"),
            model_link(_("Terms"), "calendar_month", "courses.Term"),
            model_link(_("Grades"), "grade", "courses.Grade"),
        ],
    },
    {
        "title": _("Records"),
        "items": [
            model_link(_("Imports"), "upload_file", "bulk.Import"),
            {
                "title": _("OneRoster files"),
                "icon": "folder_zip",
                "link": reverse_lazy("admin:oneroster"),
                "permission": "oneroster.admin.can_export",
            },
            model_link(_("Journal"), "history_edu", "students.EnrollmentEvent"),
            model_link(_("Refusals"), "block", "students.RefusedAct"),
        ],
    },
    {
        "title": _("Access"),
        "items": [
            {
                "title": _("Access"),
                "icon": "admin_panel_settings",
                "link": reverse_lazy("admin:access"),
                "permission": "school.admin.access_overview.can_view",
            },
            model_link(_("Record of access"), "visibility", "school.PersonalDataAccess"),
            model_link(_("Course staff"), "badge", "courses.CourseStaff"),
            model_link(_("API clients"), "key", "school.ApiClient"),
            model_link(_("Webhooks"), "webhook", "webhooks.Endpoint"),
            model_link(_("Access tokens"), "vpn_key", "oauth2_provider.AccessToken"),
            model_link(_("Users"), "person", "auth.User"),
            model_link(_("Groups"), "group", "auth.Group"),
            model_link(_("Locked logins"), "lock", "axes.AccessAttempt"),
        ],
    },
]
