"""
The scopes of the standard at the token endpoint.

A client that has the scope ``rosters:read`` can also request the scopes of OneRoster 1.1 and 1.2, which allow a part of
it. Scopes beside them that the client does not have, such as those for grades, are left out of the token.
"""

from typing import Any

from school.api.token_requests import ClientScopes, ClientValidator

SCOPE = "rosters:read"
PREFIX = "https://purl.imsglobal.org/spec/or/"
CORE, ROSTER, DEMOGRAPHICS = (
    frozenset(f"{PREFIX}{version}/scope/{name}.readonly" for version in ("v1p1", "v1p2"))
    for name in ("roster-core", "roster", "roster-demographics")
)


class RosterScopes(ClientScopes):
    def published_scopes(self) -> list[str]:
        return [*super().published_scopes(), *sorted(CORE | ROSTER | DEMOGRAPHICS)]

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        available = self.get_default_scopes(application, request)
        return [*available, *CORE, *ROSTER, *DEMOGRAPHICS] if SCOPE in available else available


class RosterValidator(ClientValidator):
    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        if any(scope.startswith(PREFIX) for scope in scopes):
            available = set(RosterScopes().get_available_scopes(client, request))
            request.scopes = scopes = [scope for scope in scopes if scope in available]
            if not scopes:
                return False
        valid: bool = super().validate_scopes(client_id, scopes, client, request, *args, **kwargs)
        return valid
