"""The URL configuration."""

from importlib import import_module

from django.apps import apps
from django.contrib import admin
from django.urls import include, path, register_converter
from django.views.decorators.csrf import csrf_protect
from django.views.generic import RedirectView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularSwaggerSplitView as ApiDocs

from school.accounts import password_reset
from school.api.authorization_server import AuthorizationServerView
from school.api.client_token_view import ClientTokenView
from school.api.index import IndexView
from school.api.openapi.schema_view import SchemaView
from school.http.converters import IdConverter
from school.observability.health import health, live, ready
from school.observability.metrics_view import metrics
from students.api.problem_pages import problem_index, problem_page

register_converter(IdConverter, "id")

# The patterns are in one flat list, because it is resolved faster than nested includes.
apps_with_api = ("students", "bulk", "webhooks")
api = [each for app in apps_with_api for each in import_module(f"{app}.api.urls").urlpatterns]
exports = import_module("oneroster.api.export_urls").urlpatterns

versions = {
    "v1": "/api/v1",
    "schema": "/api/schema",
    "docs": "/api/docs",
    "token": "/oauth/token",
    "problems": "/problems/",
}
lists = {each.name: f"/api/v1/{each.pattern}" for each in api if not each.pattern.converters}

# Its script sends the CSRF token with writes by the session. The middleware of the API does not provide this token.
docs = csrf_protect(ApiDocs.as_view(url_name="schema", template_name="school/docs.html"))

urlpatterns = [
    path("api/v1/", include([*api, *exports])),  # first: most requests are for it
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/password-reset/", password_reset.PasswordResetView.as_view(), name="password_reset"),
    path("admin/password-reset/sent/", password_reset.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path(
        "admin/password-reset/done/", password_reset.PasswordResetCompleteView.as_view(), name="password_reset_complete"
    ),
    path(
        "admin/password-reset/<uidb64>/<token>/",
        password_reset.PasswordResetConfirmView.as_view(),
        name="password_reset_confirm",
    ),
    path("admin/", admin.site.urls),  # after the resets: the admin answers every other path below it
    path("language", set_language, name="set_language"),
    path("api", IndexView.as_view(links=versions), name="api"),
    path("api/v1", IndexView.as_view(links=lists), name="api-v1"),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", docs, name="docs"),
    path("oauth/token", ClientTokenView.as_view(), name="token"),
    path(".well-known/oauth-authorization-server", AuthorizationServerView.as_view(), name="authorization-server"),
    path("ims/oneroster/", include("oneroster.api.urls")),
    path("health", health, name="health"),
    path("health/live", live, name="health-live"),
    path("health/ready", ready, name="health-ready"),
    path("metrics", metrics, name="metrics"),
    path("problems/", problem_index, name="problems"),
    path("problems/<slug:code>", problem_page, name="problem"),
]

if apps.is_installed("allauth.account"):
    urlpatterns.append(path("accounts/", include("school.accounts.urls")))

handler400 = "school.http.error_handlers.bad_request"
handler404 = "school.http.error_handlers.not_found"
handler500 = "school.http.error_handlers.server_error"
