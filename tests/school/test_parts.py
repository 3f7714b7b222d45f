"""API requests and pages have separate middleware lists."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, get_resolver

from school.http.probe_middleware import PROBE_PATHS

HERE = "tests.school.test_parts"


def addresses(patterns: list[Any], prefix: str = "/") -> Iterator[tuple[str, Any]]:
    """Yield every address with its view."""
    for each in patterns:
        if isinstance(each, URLPattern):
            yield f"{prefix}{each.pattern}", each.callback
        else:
            yield from addresses(each.url_patterns, f"{prefix}{each.pattern}")


def test_every_program_view_makes_its_own_csrf_check():
    found = dict(addresses(get_resolver().url_patterns))
    of_programs = [path for path in found if path.startswith(settings.API_PREFIXES)]

    assert {path for path in of_programs if not getattr(found[path], "csrf_exempt", False)} == set(PROBE_PATHS)
    assert {"/api/v1/students", "/api/v1/imports", "/api/docs", "/oauth/token"} - set(of_programs) == set()


def recording_middleware(name: str) -> Any:
    """Return middleware that adds its name to the response."""

    def middleware_factory(get_response: Any) -> Any:
        def middleware(request: Any) -> Any:
            response = get_response(request)
            response["X-Passed"] = f"{name} {response.get('X-Passed', '')}".rstrip()
            return response

        return middleware

    return middleware_factory


outer, inner, pages = recording_middleware("outer"), recording_middleware("inner"), recording_middleware("pages")


class Hooks:
    """Responds in place of a view if the query says so, and in place of an exception of a view."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        if "stop" in request.GET:
            return HttpResponse(f"{view.__name__} {args} {kwargs}")
        return None

    def process_exception(self, request: Any, exception: Exception) -> Any:
        return HttpResponse(type(exception).__name__)


@pytest.fixture
def lists(settings):
    settings.API_MIDDLEWARE = [f"{HERE}.outer", *settings.API_MIDDLEWARE, f"{HERE}.inner", f"{HERE}.Hooks"]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{HERE}.pages"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "passed"),
    [
        ("/api/v1/terms", "outer inner"),
        ("/oauth/token", "outer inner"),
        ("/health", "outer"),
        ("/metrics", "outer"),
        ("/admin/login/", "pages"),
        ("/apis", "pages"),
        ("/problems/invalid", "pages"),
    ],
)
def test_a_request_passes_the_middleware_list_of_its_path_in_order(lists, path, passed):
    assert Client().get(path)["X-Passed"] == passed


@pytest.mark.django_db
def test_middleware_hooks_run_for_program_requests(api, lists, monkeypatch):
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise LookupError

    stopped = api.get("/api/v1/students/7?stop=1").content.decode()
    monkeypatch.setattr("school.api.authentication.count_account", broken)
    raised = api.get("/api/v1/students/7").content.decode()

    assert (stopped, raised) == ("StudentViewSet () {'student_id': '7'}", "LookupError")
