"""The site of the admin: the look for every page of it, and one search over everything."""

import re
import time
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db.models import JSONField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from school.narrowing import Narrowed

STYLE = re.compile(r' style="[^"]*"')


# Models and columns of a library, as it has them.
UNMARKED = {
    "AccessToken": (_("access token"), _("access tokens")),
    "Grant": (_("grant"), _("grants")),
    "IDToken": (_("ID token"), _("ID tokens")),
    "RefreshToken": (_("refresh token"), _("refresh tokens")),
}
COLUMNS = {
    "masked_token": _("token"),
    "masked_code": _("code"),
    "revoke_tokens": _("Revoke selected tokens"),
}
# Without a number, and what is left to show of a token that is not kept.
LISTS = {"AccessToken": ["application", "expires"]}


def without_styles(html: str) -> SafeString:
    """Take out the colours that the theme writes into JSON, since the policy of our pages has no styles within them."""
    return mark_safe(STYLE.sub("", html))  # noqa: S308  # what is left is as escaped as it was


class DeskSite(UnfoldAdminSite):
    index_title = _("The registrar's desk")

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register; narrowed for who is limited to own courses, and with the look also for what a library registers."""
        theirs = admin_class or admin.ModelAdmin
        look = () if issubclass(theirs, ModelAdmin) else (ModelAdmin,)
        admin_class = type(theirs.__name__, (Narrowed, theirs, *look), {"__module__": theirs.__module__})
        super().register(model_or_iterable, admin_class, **options)
        self._name(model_or_iterable)
        models: Any = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        for model in models:
            desk = self._registry.get(model)
            if desk is not None:  # else the model is swapped for another
                plain = {each.name: without_styles for each in model._meta.fields if isinstance(each, JSONField)}
                desk.readonly_preprocess_fields = {**plain, **desk.readonly_preprocess_fields}
                desk.list_display = LISTS.get(model.__name__, desk.list_display)

    def _name(self, model: Any) -> None:
        """Give what a library has not marked for translation names that can be translated."""
        names = UNMARKED.get(getattr(model, "__name__", ""))
        if names:
            model._meta.verbose_name, model._meta.verbose_name_plural = names
        for name, told in COLUMNS.items():
            column = getattr(type(self._registry.get(model)), name, None)
            if column is not None and not isinstance(getattr(column, "short_description", None), Promise):
                column.short_description = told

    def get_urls(self) -> list[Any]:
        from school.admin.access import access_page  # which needs the site

        return [path("access/", self.admin_view(access_page), name="access"), *super().get_urls()]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Lead to the login that knows second factors and single sign-on, where there is one."""
        if not apps.is_installed("allauth.account"):
            return super().login(request, extra_context)
        from allauth.account.decorators import secure_admin_login

        return secure_admin_login(super().login)(request, extra_context)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """
        Answer the command palette: pages by their names, and what ``COMMAND["search_callback"]`` finds.

        The theme's own keeps what it has found for minutes, names of students among it, and reads every row.
        """
        began = time.monotonic()
        words = request.GET.get("s", "").strip()
        if not words:
            return HttpResponse()
        found = self._search_apps(self.get_app_list(request), words.lower())
        found += import_string(settings.UNFOLD["COMMAND"]["search_callback"])(request, words)
        context = {
            "results": found,
            "page_obj": {"count": len(found)},
            "page_counter": 0,
            "execution_time": time.monotonic() - began,
        }
        return TemplateResponse(
            request, "unfold/helpers/command_results.html", context, headers={"HX-Trigger": "search"}
        )
