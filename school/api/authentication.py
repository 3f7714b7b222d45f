"""Programs show themselves by OAuth2 bearer tokens; each acts as a service account of its own."""

from typing import Any

import structlog
from django.utils.translation import gettext as _
from drf_spectacular.contrib.django_oauth_toolkit import DjangoOAuthToolkitScheme
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class ClientAuthentication(OAuth2Authentication):
    """
    Take a token of the client credentials grant (RFC 6749, 4.4), which has no user, for the client's account.

    So the journal and the history have an actor, and an account that is deactivated stops its client.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        # Django's own request: through DRF's, the toolkit would parse the body of a caller who is not known yet.
        result = super().authenticate(request._request)
        if result is None:
            if request.META.get("HTTP_AUTHORIZATION", "").startswith("Bearer "):
                raise AuthenticationFailed(_("The token is unknown, has expired, or was revoked."))
            return None
        user, token = result
        user = user or token.application.user
        if user is None or not user.is_active:
            raise AuthenticationFailed(_("The account of this client is not active."))
        structlog.contextvars.bind_contextvars(client_id=token.application.client_id)
        return user, token


class ClientScheme(DjangoOAuthToolkitScheme):  # type: ignore[no-untyped-call]  # drf-spectacular registers it so
    """Tell the OpenAPI document which scope an operation takes."""

    target_class = "school.api.authentication.ClientAuthentication"

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        view = auto_schema.view
        scope = getattr(view, "scope", None)
        access = "read" if auto_schema.method in ("GET", "HEAD", "OPTIONS") else "write"
        return {self.name: [f"{scope}:{access}"] if scope else []}
