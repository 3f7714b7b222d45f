"""How the token endpoint identifies a client, and which scopes it may get."""

from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

from django.http import HttpRequest
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import SettingsScopes

from school.api.tokens import record_use


def client_id_of(request: HttpRequest) -> str:
    """Return the client id of a token request, by Basic or in the form (RFC 6749, 2.3.1); empty if there is none."""
    scheme, _blank, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme == "Basic":
        try:
            return unquote_plus(b64decode(encoded).decode().partition(":")[0]).replace("\0", "")
        except ValueError:
            return ""
    return request.POST.get("client_id", "")


def has_ambiguous_client(request: HttpRequest) -> bool:
    """
    Return True if credentials come in several places (RFC 6749, 2.3), a field twice (3.2), or in the query (2.3.1).

    In such a request the toolkit and ``client_id_of`` could each take another client id.
    """
    form = request.POST
    in_form = "client_id" in form or "client_secret" in form
    is_repeated = any(len(form.getlist(name)) > 1 for name in form)
    return (in_form and "HTTP_AUTHORIZATION" in request.META) or is_repeated or bool(request.GET)


class ClientScopes(SettingsScopes):
    """The scopes that a client was created with. A token request that names no scope gets all of them."""

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return application.scope.split() if application else []

    get_default_scopes = get_available_scopes


class ClientValidator(OAuth2Validator):
    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        super().save_bearer_token(token, request, *args, **kwargs)
        record_use(request.client)

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        # PostgreSQL rejects NUL, and the toolkit passes it on. No client id contains one.
        return None if "\0" in (client_id or "") else super()._load_application(client_id, request)
