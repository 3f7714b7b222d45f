"""URLs of the imports API."""

from typing import Any

from django.urls import path

from bulk.api import views

COLLECTION_ACTIONS: dict[str, Any] = {"get": "list", "post": "create"}
report, actions = views.ImportReportViewSet, views.ImportActionsViewSet

urlpatterns = [
    path("imports", views.ImportViewSet.as_view(COLLECTION_ACTIONS), name="imports"),
    path("imports/<id:pk>", views.ImportViewSet.as_view({"get": "retrieve"}), name="import"),
    path("imports/<id:pk>/report", report.as_view({"get": "report"}), name="import-report"),
    path("imports/<id:pk>/failed-rows", report.as_view({"get": "failed_rows"}), name="import-failed-rows"),
    path("imports/<id:pk>/approve", actions.as_view({"post": "approve"}), name="import-approve"),
    path("imports/<id:pk>/cancel", actions.as_view({"post": "cancel"}), name="import-cancel"),
    path("imports/<id:pk>/undo", actions.as_view({"post": "undo"}), name="import-undo"),
]
