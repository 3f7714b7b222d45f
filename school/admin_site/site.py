"""The admin site: it registers models with School's mixins and the theme, and has the global search."""

import re
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import JSONField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from school.admin_site.deletion import BoundedDeletion, delete_bounded
from school.admin_site.list_page import ListPage
from school.admin_site.row_access import RowAccessMixin
from school.admin_site.stale_forms import StaleFormCheck
from school.http.error_handlers import bad_request

MAX_LOGIN_TEXT = 5_000  # the maximum number of characters of a value in the query of the login page

STYLE_ATTRIBUTE = re.compile(r' style="[^"]*"')


# Translatable names for models and columns whose library has not marked them for translation.
UNTRANSLATED_MODELS = {
    "AccessToken": (_("access token"), _("access tokens")),
    "Grant": (_("grant"), _("grants")),
    "IDToken": (_("ID token"), _("ID tokens")),
    "RefreshToken": (_("refresh token"), _("refresh tokens")),
}
UNTRANSLATED_COLUMNS = {
    "masked_token": _("token"),
    "masked_code": _("code"),
    "revoke_tokens": _("Revoke selected tokens"),
}
# The columns of the token list. They leave out the id, and the token itself, which is not stored.
LIST_DISPLAY = {"AccessToken": ["application", "expires"]}


def remove_inline_styles(html: str) -> SafeString:
    """Remove the inline colors of the theme's JSON output, which the Content-Security-Policy of the pages forbids."""
    return mark_safe(STYLE_ATTRIBUTE.sub("", html))  # noqa: S308  # the rest is escaped already


class SchoolAdminSite(UnfoldAdminSite):
    index_title = _("Registrar's office")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_action(delete_bounded, "delete_selected")

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Add the theme and the mixins for lists, deletion, limited staff and outdated forms to each admin."""
        base = admin_class or admin.ModelAdmin
        checks = () if issubclass(base, StaleFormCheck) else (StaleFormCheck,)
        mixins = (BoundedDeletion, RowAccessMixin, *checks)
        # ``ListPage`` stands behind the class, which has its own hint and default filters; it brings the theme.
        admin_class = type(base.__name__, (*mixins, base, ListPage), {"__module__": base.__module__})
        super().register(model_or_iterable, admin_class, **options)
        self._set_translatable_names(model_or_iterable)
        models: Any = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        for model in models:
            model_admin = self._registry.get(model)
            if model_admin is not None:  # a swapped model is replaced by another model
                plain = {each.name: remove_inline_styles for each in model._meta.fields if isinstance(each, JSONField)}
                model_admin.readonly_preprocess_fields = {**plain, **model_admin.readonly_preprocess_fields}
                model_admin.list_display = LIST_DISPLAY.get(model.__name__, model_admin.list_display)

    def _set_translatable_names(self, model: Any) -> None:
        """Set translatable names for models and columns that a library has not marked for translation."""
        names = UNTRANSLATED_MODELS.get(getattr(model, "__name__", ""))
        if names:
            model._meta.verbose_name, model._meta.verbose_name_plural = names
        for name, label in UNTRANSLATED_COLUMNS.items():
            column = getattr(type(self._registry.get(model)), name, None)
            if column is not None and not isinstance(getattr(column, "short_description", None), Promise):
                column.short_description = label

    def get_urls(self) -> list[Any]:
        from school.admin.access_overview import access_page  # imported here, because the module needs the site
        from school.admin.manual import manual

        return [
            path("access/", self.admin_view(access_page), name="access"),
            path("manual/<path:name>", self.admin_view(manual), name="manual"),
            *(
                path(route, self.admin_view(import_string(view)), name=name)
                for route, view, name in settings.ADMIN_PAGES
            ),
            *super().get_urls(),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "school_version": settings.VERSION}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """
        Use allauth's login, with second factors and single sign-on, if it is installed.

        A query with a long text is rejected with 400: the page would display it again to anonymous users.
        """
        if any(len(text) > MAX_LOGIN_TEXT for text in request.GET.values()):
            return bad_request(request)
        if not apps.is_installed("allauth.account"):
            return super().login(request, extra_context)
        from allauth.account.decorators import secure_admin_login

        return secure_admin_login(super().login)(request, extra_context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from school.accounts.lockout import change_password  # imported here, because the module needs the site

        view = super().password_change
        return change_password(request, lambda: view(request, extra_context))

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """
        Return suggestions for a form field.

        Reject a reverse relation or an unknown field, for which Django would raise an error.
        """
        try:
            model = apps.get_model(request.GET["app_label"], request.GET["model_name"])
            is_of_form = model._meta.get_field(request.GET["field_name"]).concrete
        except (KeyError, LookupError, ValueError, FieldDoesNotExist):
            is_of_form = False
        if request.method == "GET" and not is_of_form:  # the response to any other method is 405
            raise PermissionDenied
        response: HttpResponse = super().autocomplete_view(request)
        return response

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """
        Return results for the command palette: pages by name, and the results of ``COMMAND["search_callback"]``.

        The theme's own search caches its results, including names of students, for minutes, and reads every row.
        """
        words = request.GET.get("s", "").strip()
        if not words:
            return HttpResponse()
        results = self._search_apps(self.get_app_list(request), words.lower())
        results += import_string(settings.UNFOLD["COMMAND"]["search_callback"])(request, words)
        context = {
            "results": results,
            "page_obj": {"count": len(results)},
            "page_counter": 0,
            "words": words,
        }
        return TemplateResponse(
            request, "unfold/helpers/command_results.html", context, headers={"HX-Trigger": "search"}
        )
