"""The metadata of the authorization server (RFC 8414), from which OAuth clients discover the token endpoint."""

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from oauth2_provider.scopes import get_scopes_backend
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from school.api.authentication import AnonymousAuthentication


class AuthorizationServerView(APIView):
    """
    Returns the metadata to any caller.

    The view of the toolkit names endpoints and features that School does not have.
    """

    authentication_classes = (AnonymousAuthentication,)
    permission_classes = (AllowAny,)
    http_method_names = ("get", "head", "options")

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        metadata = {
            "issuer": request.build_absolute_uri("/").rstrip("/"),
            "token_endpoint": request.build_absolute_uri(reverse("token")),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "response_types_supported": [],  # required; there is no authorization endpoint
            "scopes_supported": get_scopes_backend().published_scopes(),
        }
        return Response(metadata)
