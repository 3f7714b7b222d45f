"""The scopes that a client may ask for, and gets where it asks for none."""

from typing import Any

from oauth2_provider.scopes import SettingsScopes


class ClientScopes(SettingsScopes):
    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return application.scope.split() if application else []

    get_default_scopes = get_available_scopes
