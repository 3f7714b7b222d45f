"""
Authentication: bearer tokens (OAuth2) for API clients, sessions for staff, and requests without credentials.

The three classes are tried in this order. Each counts a request for the rate limit as soon as it has identified the
caller (``school.http.rate_limit``).
"""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.contrib.django_oauth_toolkit import DjangoOAuthToolkitScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from school.accounts.session_timeout import is_expired
from school.accounts.settings import REQUIRED
from school.api.permissions import scope_of
from school.api.token_grants import Grant, bind_client, copy_account, grant_of_request
from school.http.bearer_token import has_bearer_token
from school.http.rate_limit import count_account, count_anonymous, count_failure


class ClientAuthentication(BaseAuthentication):
    """
    Authenticates a bearer token (RFC 6750, 2.1) as the service account of its client.

    A token has no user of its own. The service account is the actor in the journal and the history. Deactivating the
    account stops the client.
    """

    def authenticate(self, request: Request) -> tuple[Any, Grant] | None:
        if not has_bearer_token(request):
            return None
        grant = grant_of_request(request._request)
        if grant is None:
            count_failure(request)
            raise AuthenticationFailed(_("The token is unknown, has expired, or was revoked."))
        bind_client(grant)
        count_account(request, grant.account.pk)
        return copy_account(grant), grant

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of RFC 6750, 3. It names an error only if the request has sent a token."""
        error = (
            ',error="invalid_token",error_description="The access token is invalid."'
            if has_bearer_token(request)
            else ""
        )
        return f'Bearer realm="api"{error}'


class StaffAuthentication(SessionAuthentication):
    """
    Authenticates a session of the admin.

    The session ends at the same time as in the admin. An account that is no longer staff is refused. A request with an
    ``Authorization`` header is not authenticated by its session: the header has the credentials of the request, valid
    or not.

    Raises ``AuthenticationFailed`` for a session that is over, or without a second factor that is required.
    """

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        user: Any = request._request.user
        if "HTTP_AUTHORIZATION" in request.META or not user.is_active:
            return None
        count_account(request, user.pk)
        if not user.is_staff or is_expired(request._request):
            raise AuthenticationFailed(_("The session has ended. Log in again."))
        self._require_second_factor(request)
        # This comes last, because its CSRF check reads the whole form, including files.
        result: tuple[Any, None] | None = super().authenticate(request)
        return result

    def _require_second_factor(self, request: Request) -> None:
        if settings.SECOND_FACTOR == REQUIRED:
            from school.accounts.mfa_required import (
                lacks_second_factor,  # allauth is installed only if it is switched on
            )

            if lacks_second_factor(request._request):
                raise AuthenticationFailed(_("Set up a second factor for your account first."))


class AnonymousAuthentication(BaseAuthentication):
    """Accepts a request without credentials, and counts it by its address. This class must be the last one."""

    def authenticate(self, request: Request) -> None:
        count_anonymous(request)


class ClientScheme(DjangoOAuthToolkitScheme):  # type: ignore[no-untyped-call]  # drf-spectacular registers subclasses
    """
    Describes in the OpenAPI document the scope that each operation requires, and that a caller may send a token that it
    has already.
    """

    target_class = "school.api.authentication.ClientAuthentication"
    name = ["oauth2", "bearerAuth"]  # type: ignore[assignment]  # the base class of extensions allows a list

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        view = auto_schema.view
        oauth2, bearer = self.name
        scopes = [scope_of(view, auto_schema.method)] if hasattr(view, "scope") else []
        return [{oauth2: scopes}, {bearer: []}]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        by_credentials = super().get_security_definition(auto_schema)  # type: ignore[no-untyped-call]
        return [by_credentials, {"type": "http", "scheme": "bearer", "description": "A token of `/oauth/token`."}]


class StaffScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the session cookie, as drf-spectacular does for DRF's ``SessionAuthentication``."""

    target_class = "school.api.authentication.StaffAuthentication"
    name = "cookieAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = "The session of a user who has logged in at `/admin/`. The browser sends it; enter nothing here."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": description}
