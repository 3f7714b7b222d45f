"""How the token endpoint sees a client: who it is, and what it may ask for."""

from typing import Any

from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import SettingsScopes


class ClientScopes(SettingsScopes):
    """The scopes that a client was made with; it gets all of them where it asks for none."""

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return application.scope.split() if application else []

    get_default_scopes = get_available_scopes


class ClientValidator(OAuth2Validator):
    def _load_application(self, client_id: str | None, request: Any) -> Any:
        # PostgreSQL cannot compare NUL, and the toolkit hands it over: no client has such an id.
        return None if "\0" in (client_id or "") else super()._load_application(client_id, request)
