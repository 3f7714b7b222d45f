"""How the token endpoint sees a client: who it is, and what it may ask for."""

from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

from django.http import HttpRequest
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import SettingsScopes

from school.api.grants import note_use


def named_client(request: HttpRequest) -> str:
    """Return the id of the client that a request for a token names, by Basic or in the form (RFC 6749, 2.3.1)."""
    scheme, _blank, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme == "Basic":
        try:
            return unquote_plus(b64decode(encoded).decode().partition(":")[0]).replace("\0", "")
        except ValueError:
            return ""
    return request.POST.get("client_id", "")


class ClientScopes(SettingsScopes):
    """The scopes that a client was made with; it gets all of them where it asks for none."""

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return application.scope.split() if application else []

    get_default_scopes = get_available_scopes


class ClientValidator(OAuth2Validator):
    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        super().save_bearer_token(token, request, *args, **kwargs)
        note_use(request.client)

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        # PostgreSQL cannot compare NUL, and the toolkit hands it over: no client has such an id.
        return None if "\0" in (client_id or "") else super()._load_application(client_id, request)
