"""The theme and the navigation of the admin. Colors and sizes are in ``static/school/desk.css``."""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def asset(path: str) -> Callable[[HttpRequest], str]:
    return lambda request: static(path)


def page(title: Any, icon: str, model: str) -> dict[str, Any]:
    """Return a navigation entry for the list of a model, shown to users with permission to view that list."""
    address = f"admin:{model.lower().replace('.', '_')}_changelist"

    def may_see(request: HttpRequest) -> bool:
        from django.contrib import admin  # settings import this module before the apps and the admin site exist

        return bool(admin.site.get_model_admin(apps.get_model(model)).has_view_or_change_permission(request))

    return {"title": title, "icon": icon, "link": reverse_lazy(address), "permission": may_see}


def is_at_enrollments(request: HttpRequest) -> bool:
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
            {**page(_("Enrollments"), "how_to_reg", "students.StudentCourse"), "active": is_at_enrollments},
            {
                "title": _("Enroll many"),
                "icon": "group_add",
                "link": ENROLL_MANY,
                "permission": lambda request: request.user.has_perm("students.add_studentcourse"),
            },
            page(_("Students"), "groups", "students.Student"),
            page(_("Courses"), "menu_book", "courses.Course"),
            page(_("Terms"), "calendar_month", "courses.Term"),
        ],
    },
    {
        "title": _("Records"),
        "items": [
            page(_("Imports"), "upload_file", "bulk.Import"),
            page(_("Journal"), "history_edu", "students.EnrollmentEvent"),
            page(_("Refusals"), "block", "students.RefusedAct"),
        ],
    },
    {
        "title": _("Access"),
        "items": [
            {
                "title": _("Access"),
                "icon": "admin_panel_settings",
                "link": reverse_lazy("admin:access"),
                "permission": "school.admin.access_overview.may_see",
            },
            page(_("Record of access"), "visibility", "school.PersonalDataAccess"),
            page(_("Course staff"), "badge", "courses.CourseStaff"),
            page(_("API clients"), "key", "school.ApiClient"),
            page(_("Access tokens"), "vpn_key", "oauth2_provider.AccessToken"),
            page(_("Users"), "person", "auth.User"),
            page(_("Groups"), "group", "auth.Group"),
            page(_("Locked logins"), "lock", "axes.AccessAttempt"),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("School"),
    "SITE_HEADER": _("School"),
    "SITE_SUBHEADER": _("The registrar's desk"),
    "SITE_SYMBOL": "school",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": asset("school/icon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "students.admin.dashboard.views.shown",
    "COLORS": lambda request: {},  # otherwise the theme writes an inline style into every page
    "STYLES": [asset("school/desk.css")],
    "SCRIPTS": [asset("school/names.js")],
    "COMMAND": {"search_models": False, "search_callback": "students.admin.search.found"},
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": NAVIGATION},
}
