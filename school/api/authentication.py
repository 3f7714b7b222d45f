"""
Who asks: programs by OAuth2 bearer tokens, each as a service account of its own; staff by their session; or nobody.

The three classes are asked in this order, and whoever is found is counted at once (``school.api.throttling``).
"""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.contrib.django_oauth_toolkit import DjangoOAuthToolkitScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from school.accounts.settings import REQUIRED
from school.api.grants import Grant, account_of, bind_caller, grant_shown, shows_token
from school.api.throttling import count_account, count_failure, count_stranger


class ClientAuthentication(BaseAuthentication):
    """
    Take a bearer token (RFC 6750, 2.1) of the client credentials grant, which has no user, for the client's account.

    So the journal and the history have an actor, and an account that is deactivated stops its client.
    """

    def authenticate(self, request: Request) -> tuple[Any, Grant] | None:
        if not shows_token(request):
            return None
        grant = grant_shown(request._request)
        if grant is None:
            count_failure(request)
            raise AuthenticationFailed(_("The token is unknown, has expired, or was revoked."))
        bind_caller(grant)
        count_account(request, grant.account.pk)
        return account_of(grant), grant

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of RFC 6750, 3: it names an error only to who has sent a token."""
        error = (
            ',error="invalid_token",error_description="The access token is invalid."' if shows_token(request) else ""
        )
        return f'Bearer realm="api"{error}'


class StaffAuthentication(SessionAuthentication):
    """Take a session of the admin."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        found: tuple[Any, None] | None = super().authenticate(request)
        if found is not None:
            count_account(request, found[0].pk)
            self._ask_for_second_factor(request)
        return found

    def _ask_for_second_factor(self, request: Request) -> None:
        if settings.SECOND_FACTOR == REQUIRED:
            from school.accounts.required import is_missing  # allauth is there only where it is switched on

            if is_missing(request._request):
                raise AuthenticationFailed(_("Set up a second factor first."))


class Nobody(BaseAuthentication):
    """Count who has shown nothing. Comes last."""

    def authenticate(self, request: Request) -> None:
        count_stranger(request)


class ClientScheme(DjangoOAuthToolkitScheme):  # type: ignore[no-untyped-call]  # drf-spectacular registers it so
    """Tell the OpenAPI document which scope an operation takes."""

    target_class = "school.api.authentication.ClientAuthentication"

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        view = auto_schema.view
        scope = getattr(view, "scope", None)
        access = "read" if auto_schema.method in ("GET", "HEAD", "OPTIONS") else "write"
        return {self.name: [f"{scope}:{access}"] if scope else []}


class StaffScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A session's cookie, as drf-spectacular describes the one of its own class."""

    target_class = "school.api.authentication.StaffAuthentication"
    name = "cookieAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class NobodyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Nothing for the document: there is nothing to show."""

    target_class = "school.api.authentication.Nobody"
    name: list[str] = []

    def get_security_definition(self, auto_schema: Any) -> list[Any]:
        return []

    def get_security_requirement(self, auto_schema: Any) -> list[Any]:
        return []
