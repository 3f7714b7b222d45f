"""URL patterns for logging in, used if a second factor or single sign-on is switched on."""

from typing import Any

from allauth.account import views
from django.apps import apps
from django.urls import include, path

urlpatterns: list[Any] = [
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    # Allauth needs this pattern, and ``StaffAdapter`` closes sign-up.
    path("signup/", views.signup, name="account_signup"),
]
if apps.is_installed("allauth.mfa"):
    urlpatterns.append(path("2fa/", include("allauth.mfa.urls")))
if apps.is_installed("allauth.socialaccount"):
    from allauth.socialaccount.providers.openid_connect import views as oidc

    from school.accounts.sso_adapter import handle_unavailable_provider

    urlpatterns += [
        path("oidc/<provider_id>/login/", handle_unavailable_provider(oidc.login), name="openid_connect_login"),
        path(
            "oidc/<provider_id>/login/callback/",
            handle_unavailable_provider(oidc.callback),
            name="openid_connect_callback",
        ),
        path("sso/", include("allauth.socialaccount.urls")),
    ]
