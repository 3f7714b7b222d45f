"""The URL of the export, beside those of the other resources of the API."""

from django.urls import path

from oneroster.api.exports import ExportView

urlpatterns = [path("exports/oneroster", ExportView.as_view(), name="exports-oneroster")]
