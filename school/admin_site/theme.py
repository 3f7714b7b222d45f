"""
The theme of the admin.

Colors and sizes are in ``static/school/desk.css``.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from school.admin_site.navigation import NAVIGATION


def static_url(path: str) -> Callable[[HttpRequest], str]:
    return lambda request: static(path)


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("School"),
    "SITE_HEADER": _("School"),
    "SITE_SUBHEADER": _("Registrar's office"),
    "SITE_SYMBOL": "school",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": static_url("school/icon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "students.admin.dashboard.page_context.dashboard_context",
    "COLORS": lambda request: {},  # without this setting, the theme writes an inline style into every page
    "STYLES": [static_url("school/desk.css")],
    "SCRIPTS": [static_url("school/field_labels.js"), static_url("school/search.js")],
    "COMMAND": {"search_models": False, "search_callback": "students.admin.search.search"},
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": NAVIGATION},
}
