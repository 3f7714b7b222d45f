"""URLs of OneRoster, for both versions of the standard."""

from typing import Any

from django.urls import URLPattern, path

from oneroster.api.discovery import DISCOVERY_NAMES, DiscoveryView
from oneroster.api.operations import DEMOGRAPHICS_OPERATIONS, OPERATIONS
from oneroster.api.views import ListView, NoDemographicsView, SingleView
from oneroster.mapping import V1P1, V1P2


def _patterns(prefix: str, version: str) -> list[URLPattern]:
    views: list[tuple[Any, Any]] = [
        *((each, SingleView if each.is_single else ListView) for each in OPERATIONS),
        *((each, NoDemographicsView) for each in DEMOGRAPHICS_OPERATIONS),
    ]
    return [
        path(f"{prefix}{operation.path}", view.as_view(operation=operation, version_of_standard=version))
        for operation, view in views
    ]


urlpatterns = [
    *(path(f"rostering/v1p2/discovery/{name}", DiscoveryView.as_view()) for name in DISCOVERY_NAMES),
    *_patterns("rostering/v1p2/", V1P2),
    *_patterns("v1p1/", V1P1),
]
