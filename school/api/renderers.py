"""Answers that are no JSON."""

from rest_framework.renderers import JSONRenderer


class CsvRenderer(JSONRenderer):
    """For views that stream CSV themselves. What is left to render are problems, which are JSON always."""

    media_type = "text/csv"
    format = "csv"
