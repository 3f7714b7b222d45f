"""The URL configuration."""

from importlib import import_module

from django.apps import apps
from django.contrib import admin
from django.urls import include, path, register_converter
from django.views.generic import RedirectView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularSwaggerSplitView as ApiDocs

from school.api.index import IndexView
from school.api.openapi.schema_view import SchemaView
from school.api.token_view import ClientTokenView
from school.http.converters import IdConverter
from school.observability.health import health, live, ready
from school.observability.metrics_view import metrics
from students.api.problem_pages import problem_index, problem_page

register_converter(IdConverter, "id")

# One flat list, not nested includes: it resolves faster.
apps_with_api = ("students", "courses", "bulk")
api = [each for app in apps_with_api for each in import_module(f"{app}.api.urls").urlpatterns]

versions = {
    "v1": "/api/v1",
    "schema": "/api/schema",
    "docs": "/api/docs",
    "token": "/oauth/token",
    "problems": "/problems/",
}
lists = {each.name: f"/api/v1/{each.pattern}" for each in api if not each.pattern.converters}

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("language", set_language, name="set_language"),
    path("api", IndexView.as_view(links=versions), name="api"),
    path("api/v1", IndexView.as_view(links=lists), name="api-v1"),
    path("api/v1/", include(api)),
    path("api/v1/", include("oneroster.api.export_urls")),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", ApiDocs.as_view(url_name="schema", template_name="school/docs.html"), name="docs"),
    path("oauth/token", ClientTokenView.as_view(), name="token"),
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

handler400 = "school.http.problems.bad_request"
handler404 = "school.http.problems.not_found"
handler500 = "school.http.problems.server_error"
