"""What OPTIONS answers."""

from typing import Any

from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request


class Metadata(SimpleMetadata):
    """DRF's, without the fields of each method: the OpenAPI document has them, and to find out would lock rows."""

    def determine_actions(self, request: Request, view: Any) -> dict[str, Any]:
        return {}
