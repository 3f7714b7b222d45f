"""The page of access: API clients, staff users, and the latest accesses to personal data."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from school.models import ApiClient, PersonalDataAccess

MAX_ROWS = 100  # the maximum number of API clients, and of staff users, on the page
MAX_LOG_ENTRIES = 50  # the number of rows of the record of access on the page
# The groups that School creates. Their names in the database are English; pages show them in the user's language.
ROLES = (
    gettext_noop("Registrar"),
    gettext_noop("Viewer"),
    gettext_noop("Course staff"),
    gettext_noop("Auditor"),
)
SECTION_PERMISSIONS = {
    "clients": "school.view_apiclient",
    "staff": "auth.view_user",
    "record": "school.view_personaldataaccess",
}


def can_view(request: HttpRequest) -> bool:
    """Return True if the user may see at least one part of the page."""
    return any(request.user.has_perm(permission) for permission in SECTION_PERMISSIONS.values())


def access_page(request: HttpRequest) -> HttpResponse:
    """Show the parts that the user may see; raise ``PermissionDenied`` if there are none."""
    if not can_view(request):
        raise PermissionDenied
    parts = {"clients": _clients, "staff": _staff, "record": _access_log}
    sections: dict[str, Any] = {
        name: list(part()) for name, part in parts.items() if request.user.has_perm(SECTION_PERMISSIONS[name])
    }
    _set_second_factors(sections.get("staff", []))
    context = {
        **admin.site.each_context(request),
        **sections,
        "title": _("Access"),
        "sections": list(sections),
        "may_revoke": request.user.has_perm("school.change_apiclient"),
        "most": MAX_ROWS,
    }
    return render(request, "school/access_overview.html", context)


def _clients() -> QuerySet[Any]:
    is_live = Q(accesstoken__expires__gt=timezone.now())
    clients = ApiClient.objects.select_related("user").prefetch_related("terms", "courses__term")
    return clients.annotate(alive=Count("accesstoken", filter=is_live)).order_by(
        F("last_used_at").desc(nulls_last=True), "name"
    )[:MAX_ROWS]


def _staff() -> QuerySet[Any]:
    staff = get_user_model().objects.filter(is_staff=True).prefetch_related("groups")
    return staff.order_by("-is_active", "username")[:MAX_ROWS]


def _set_second_factors(staff: list[Any]) -> None:
    """
    Set ``second_factors`` of each user to the types of the user's second factors, if ``allauth.mfa`` is installed.
    """
    if not apps.is_installed("allauth.mfa"):
        return
    factors: dict[int, list[str]] = {}
    get_model: Any = apps.get_model  # mypy runs without that app
    for factor in get_model("mfa", "Authenticator").objects.filter(user__in=staff).order_by("type"):
        factors.setdefault(factor.user_id, []).append(factor.get_type_display())
    for user in staff:
        user.second_factors = ", ".join(dict.fromkeys(factors.get(user.pk, [])))


def _access_log() -> QuerySet[PersonalDataAccess]:
    return PersonalDataAccess.objects.select_related("actor", "course__term").order_by("-pk")[:MAX_LOG_ENTRIES]
