"""
The discovery document of OneRoster 1.2: the operations of this server as OpenAPI.

``rostering_v1p2.json`` has the operations and schemas of the standard's own document, without its texts.
"""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from django.urls import reverse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from school.api.authentication import AnonymousAuthentication

# The name in the REST binding, and the one in the conformance guide.
DISCOVERY_NAMES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("rostering_v1p2.json").read_text(encoding="utf-8"))
    return loaded


class DiscoveryView(APIView):
    """Answers everybody with the document, with the URLs of this server."""

    authentication_classes = (AnonymousAuthentication,)
    permission_classes = (AllowAny,)
    schema = None
    http_method_names = ("get", "head")

    def get(self, request: Request) -> Response:
        served = deepcopy(document())
        for server in served["servers"]:
            server["url"] = request.build_absolute_uri(server["url"])
        flow = served["components"]["securitySchemes"]["OAuth2CC"]["flows"]["clientCredentials"]
        flow["tokenUrl"] = request.build_absolute_uri(reverse("token"))
        return Response(served)
