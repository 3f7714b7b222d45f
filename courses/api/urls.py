"""URL patterns of terms in the API."""

from typing import Any

from django.urls import path

from courses.api import views

COLLECTION_ACTIONS: dict[str, Any] = {"get": "list", "post": "create"}
RESOURCE_ACTIONS: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path("terms", views.TermViewSet.as_view(COLLECTION_ACTIONS), name="terms"),
    path("terms/<str:term_id>", views.TermViewSet.as_view(RESOURCE_ACTIONS), name="term"),
]
