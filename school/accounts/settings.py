"""Settings of django-allauth. ``school.settings`` reads from the environment which of its features are switched on."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

OFF, OFFERED, REQUIRED = "off", "offered", "required"
# The entries of the account menu, which opens by the name of the logged-in user.
ACCOUNT_MENU = {"navigation": [{"title": _("Second factor"), "link": reverse_lazy("mfa_index")}]}
PROVIDER_ID = "sso"  # this id is part of the URL that the provider redirects users to


@dataclass(frozen=True)
class SingleSignOn:
    """An OpenID Connect provider, and the claim that identifies a user. Without ``issuer``, single sign-on is off."""

    issuer: str
    client_id: str
    client_secret: str
    claim: str
    name: str


def check_settings(second_factor: str, sso: SingleSignOn) -> None:
    """Raise ``ImproperlyConfigured`` for an unknown value or an incomplete provider."""
    if second_factor not in (OFF, OFFERED, REQUIRED):
        raise ImproperlyConfigured("SECOND_FACTOR must be off, offered or required.")
    if sso.issuer and not (sso.client_id and sso.client_secret):
        raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET.")
    if sso.issuer and not sso.claim:
        # There is no default: which claims users cannot edit depends on the provider, and with an editable claim
        # anybody could log in as a registrar.
        message = "OIDC_ISSUER needs OIDC_CLAIM: the claim that is the user name here and that users cannot change."
        raise ImproperlyConfigured(message)


def installed_apps(second_factor: str, sso: SingleSignOn) -> list[str]:
    apps = ["allauth", "allauth.account"]
    apps += [] if second_factor == OFF else ["allauth.mfa", "django.contrib.humanize"]
    return [*apps, *(["allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"] if sso.issuer else [])]


def allauth_settings(second_factor: str, sso: SingleSignOn, *, https: bool) -> dict[str, Any]:
    """Return the settings of allauth: staff log in by user name, and sign-up is closed."""
    app = {
        "provider_id": PROVIDER_ID,
        "name": sso.name,
        "client_id": sso.client_id,
        "secret": sso.client_secret,
        "settings": {"server_url": sso.issuer},
    }
    return {
        # allauth stores used codes and failed attempts in this cache, which all processes share.
        "CACHES": {"default": {"BACKEND": "school.accounts.json_cache.JsonCache"}},
        "LOGIN_URL": "account_login",
        "ACCOUNT_ADAPTER": "school.accounts.account_adapter.StaffAdapter",
        "ACCOUNT_LOGIN_METHODS": {"username"},
        "ACCOUNT_SIGNUP_FIELDS": ["username*", "password1*"],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_SESSION_REMEMBER": False,
        "ACCOUNT_LOGOUT_REDIRECT_URL": "account_login",
        "MFA_ADAPTER": "school.accounts.mfa_adapter.SecondFactorAdapter",
        "MFA_FORMS": {"add_webauthn": "school.accounts.mfa_forms.PasskeyForm"},
        "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
        "MFA_PASSKEY_LOGIN_ENABLED": second_factor != OFF,
        "MFA_TOTP_ISSUER": "School",
        # A code of the step before or after is accepted too, because the clock of a phone may be half a minute off.
        "MFA_TOTP_TOLERANCE": 1,
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": not https,
        "SOCIALACCOUNT_ADAPTER": "school.accounts.sso_adapter.SingleSignOnAdapter",
        # Start the login by a link, because the CSP directive ``form-action 'self'`` blocks a form that is redirected
        # to the provider.
        "SOCIALACCOUNT_LOGIN_ON_GET": True,
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}},
    }
