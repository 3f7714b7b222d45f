"""The response to OPTIONS requests."""

from typing import Any

from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request


class Metadata(SimpleMetadata):
    """
    DRF's metadata without the fields of each method and without the view's docstring.

    The OpenAPI document describes the fields. DRF would lock rows to determine them, and the docstring is for
    developers of School.
    """

    def determine_metadata(self, request: Request, view: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = super().determine_metadata(request, view)
        del metadata["description"]
        return metadata

    def determine_actions(self, request: Request, view: Any) -> dict[str, Any]:
        return {}
