"""URL patterns of terms in the API; those of courses, which have seats, are in ``students.api.urls``."""

from typing import Any

from django.urls import path

from courses.api import views

COLLECTION_ACTIONS: dict[str, Any] = {"get": "list", "post": "create"}
RESOURCE_ACTIONS: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
BATCH_ACTIONS: dict[str, Any] = {"post": "batch"}
BATCH_OPTIONS: dict[str, Any] = {"method_permissions": {"POST": ("add", "change")}}

urlpatterns = [
    path("terms", views.TermViewSet.as_view(COLLECTION_ACTIONS), name="terms"),
    path("terms/batch", views.TermViewSet.as_view(BATCH_ACTIONS, **BATCH_OPTIONS), name="terms-batch"),
    path("terms/<str:term_id>", views.TermViewSet.as_view(RESOURCE_ACTIONS), name="term"),
]
