"""
The discovery document of OneRoster 1.2: the standard's own OpenAPI document, unchanged.
"""

from functools import cache
from pathlib import Path

from django.http import HttpResponse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from school.api.authentication import AnonymousAuthentication

# The name in the REST binding, and the one in the conformance guide.
DISCOVERY_NAMES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")


@cache
def document() -> bytes:
    return Path(__file__).with_name("rostering_v1p2.json").read_bytes()


class DiscoveryView(APIView):
    """Returns the document to any caller."""

    authentication_classes = (AnonymousAuthentication,)
    permission_classes = (AllowAny,)
    schema = None
    http_method_names = ("get", "head")

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(document(), content_type="application/json")
