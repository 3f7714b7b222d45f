"""Identifies the client of a token request, and determines the scopes that the client gets."""

from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

from django.http import HttpRequest
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import SettingsScopes

from school.api.token_grants import record_use


def client_id_of(request: HttpRequest) -> str:
    """
    Return the client id of a token request, from Basic authentication or from the form (RFC 6749, 2.3.1); "" if there
    is none.
    """
    scheme, _blank, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme == "Basic":
        try:
            return unquote_plus(b64decode(encoded).decode().partition(":")[0]).replace("\0", "")
        except ValueError:
            return ""
    return request.POST.get("client_id", "")


def has_ambiguous_client(request: HttpRequest) -> bool:
    """
    Return True if a token request has credentials in several places (RFC 6749, 2.3), in the query (2.3.1), or a
    repeated field (3.2).

    From such a request the toolkit and ``client_id_of`` could take different client ids.
    """
    form = request.POST
    in_form = "client_id" in form or "client_secret" in form
    is_repeated = any(len(form.getlist(name)) > 1 for name in form)
    return (in_form and "HTTP_AUTHORIZATION" in request.META) or is_repeated or bool(request.GET)


class ClientScopes(SettingsScopes):
    """
    Limits tokens to the scopes that the client was created with.

    A token request that names no scope gets all of them.
    """

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return application.scope.split() if application else []

    get_default_scopes = get_available_scopes

    def published_scopes(self) -> list[str]:
        """Return the scopes in the metadata of the authorization server."""
        return [*self.get_all_scopes()]


class ClientValidator(OAuth2Validator):
    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        super().save_bearer_token(token, request, *args, **kwargs)
        record_use(request.client)

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        # No client id contains NUL. PostgreSQL rejects NUL with an error, and the toolkit does not check for it.
        return None if "\0" in (client_id or "") else super()._load_application(client_id, request)
