"""
Authentication: OAuth2 bearer tokens for programs, each with its own service account; sessions for staff; or none.

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

from school.accounts.session_timeout import is_over
from school.accounts.settings import REQUIRED
from school.api.tokens import Grant, account_of, bind_caller, grant_shown
from school.http.rate_limit import count_account, count_failure, count_stranger
from school.http.request_guard import shows_token


class ClientAuthentication(BaseAuthentication):
    """
    Authenticates a bearer token (RFC 6750, 2.1) as the service account of its client.

    The client credentials grant has no user. With the account, the journal and the history have an actor, and
    deactivating the account stops its client.
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
        """Return the challenge of RFC 6750, 3. It names an error only if the request has sent a token."""
        error = (
            ',error="invalid_token",error_description="The access token is invalid."' if shows_token(request) else ""
        )
        return f'Bearer realm="api"{error}'


class StaffAuthentication(SessionAuthentication):
    """
    Authenticates a session of the admin. It ends as in the admin; an account that is no longer staff is refused.

    A request with an ``Authorization`` header is not authenticated by its session: the header has other credentials, or
    some that are not accepted.

    Raises ``AuthenticationFailed`` for a session that is over, or without a second factor that is required.
    """

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        user: Any = request._request.user
        if "HTTP_AUTHORIZATION" in request.META or not user.is_active:
            return None
        count_account(request, user.pk)
        if not user.is_staff or is_over(request._request):
            raise AuthenticationFailed(_("The session has ended. Log in again."))
        self._ask_for_second_factor(request)
        found: tuple[Any, None] | None = super().authenticate(request)  # last: its CSRF check reads a form and files
        return found

    def _ask_for_second_factor(self, request: Request) -> None:
        if settings.SECOND_FACTOR == REQUIRED:
            from school.accounts.mfa_required import is_missing  # allauth is installed only if it is switched on

            if is_missing(request._request):
                raise AuthenticationFailed(_("Set up a second factor for your account first."))


class Nobody(BaseAuthentication):
    """Counts a request without credentials by its address. This class must be the last one."""

    def authenticate(self, request: Request) -> None:
        count_stranger(request)


class ClientScheme(DjangoOAuthToolkitScheme):  # type: ignore[no-untyped-call]  # drf-spectacular registers subclasses
    """Describes in the OpenAPI document which scope an operation requires."""

    target_class = "school.api.authentication.ClientAuthentication"

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        view = auto_schema.view
        scope = getattr(view, "scope", None)
        access = "read" if auto_schema.method in ("GET", "HEAD", "OPTIONS") else "write"
        return {self.name: [f"{scope}:{access}"] if scope else []}


class StaffScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the session cookie, as drf-spectacular does for DRF's ``SessionAuthentication``."""

    target_class = "school.api.authentication.StaffAuthentication"
    name = "cookieAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
