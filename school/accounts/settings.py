"""What django-allauth is told. Which of it is switched on, ``school.settings`` reads from the environment."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

OFF, OFFERED, REQUIRED = "off", "offered", "required"
# What stands under the name of who is logged in.
ACCOUNT = {"navigation": [{"title": _("Second factor"), "link": reverse_lazy("mfa_index")}]}
PROVIDER = "sso"  # in the address that the provider sends people back to


@dataclass(frozen=True)
class SingleSignOn:
    """A provider of OpenID Connect, and the claim that says who somebody is. Without an issuer there is none."""

    issuer: str
    client_id: str
    client_secret: str
    claim: str
    name: str


def check(second_factor: str, sso: SingleSignOn) -> None:
    """Raise ``ImproperlyConfigured`` for what cannot be."""
    if second_factor not in (OFF, OFFERED, REQUIRED):
        raise ImproperlyConfigured("SECOND_FACTOR must be off, offered or required.")
    if sso.issuer and not (sso.client_id and sso.client_secret):
        raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET.")


def apps_of(second_factor: str, sso: SingleSignOn) -> list[str]:
    apps = ["allauth", "allauth.account"]
    apps += [] if second_factor == OFF else ["allauth.mfa", "django.contrib.humanize"]
    return [*apps, *(["allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"] if sso.issuer else [])]


def allauth_settings(second_factor: str, sso: SingleSignOn, *, https: bool) -> dict[str, Any]:
    """Return the settings of allauth: staff log in by user name, and nobody signs up."""
    app = {
        "provider_id": PROVIDER,
        "name": sso.name,
        "client_id": sso.client_id,
        "secret": sso.client_secret,
        "settings": {"server_url": sso.issuer},
    }
    return {
        # Codes that were used and guesses are counted here, for all processes together: `createcachetable` makes it.
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "school_cache"}},
        "LOGIN_URL": "account_login",
        "ACCOUNT_ADAPTER": "school.accounts.adapters.StaffAdapter",
        "ACCOUNT_LOGIN_METHODS": {"username"},
        "ACCOUNT_SIGNUP_FIELDS": ["username*", "password1*"],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_SESSION_REMEMBER": False,
        "ACCOUNT_LOGOUT_REDIRECT_URL": "account_login",
        "MFA_ADAPTER": "school.accounts.factors.SecondFactorAdapter",
        "MFA_FORMS": {"add_webauthn": "school.accounts.passkeys.PasskeyForm"},
        "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
        "MFA_PASSKEY_LOGIN_ENABLED": second_factor != OFF,
        "MFA_TOTP_ISSUER": "School",
        "MFA_TOTP_TOLERANCE": 1,  # clocks of telephones are half a minute off
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": not https,
        "SOCIALACCOUNT_ADAPTER": "school.accounts.provider.SingleSignOnAdapter",
        # By a link: a policy that lets forms go nowhere else stops a form that is sent on to the provider.
        "SOCIALACCOUNT_LOGIN_ON_GET": True,
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}},
    }
