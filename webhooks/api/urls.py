"""URLs of the webhooks API."""

from typing import Any

from django.urls import path

from webhooks.api import views

COLLECTION_ACTIONS: dict[str, Any] = {"get": "list", "post": "create"}
RESOURCE_ACTIONS: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
endpoints, actions, attempts = views.WebhookViewSet, views.WebhookActionsViewSet, views.WebhookAttemptViewSet

urlpatterns = [
    path("webhooks", endpoints.as_view(COLLECTION_ACTIONS), name="webhooks"),
    path("webhooks/<id:pk>", endpoints.as_view(RESOURCE_ACTIONS), name="webhook"),
    path("webhooks/<id:pk>/rotate", actions.as_view({"post": "rotate"}), name="webhook-rotate"),
    path("webhooks/<id:pk>/ping", actions.as_view({"post": "ping"}), name="webhook-ping"),
    path("webhooks/<id:pk>/replay", actions.as_view({"post": "replay"}), name="webhook-replay"),
    path("webhooks/<id:pk>/attempts", attempts.as_view({"get": "list"}), name="webhook-attempts"),
]
