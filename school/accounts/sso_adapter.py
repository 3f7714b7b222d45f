"""
Single sign-on: finds the staff user for an account of the provider, and answers 503 if the provider does not answer.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest
from django.shortcuts import render
from requests import RequestException

from school.observability.logging import bind_cause

logger = structlog.get_logger(__name__)


class SingleSignOnAdapter(DefaultSocialAccountAdapter):
    """
    Logs a user of the provider in as the staff user that the claim names, and never as another user.

    At the first login, the provider's account is bound by its ``sub`` to the staff user. ``sub`` stays the same when
    the claim changes, and no other ``sub`` can be bound to the same staff user.
    """

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        user = sociallogin.user if sociallogin.is_existing else self._user_by_claim(sociallogin)
        if not sociallogin.is_existing and user is not None and user.socialaccount_set.exists():
            logger.warning("second_account_refused", user_id=user.pk)
            user = None
        if user is None or not (user.is_active and user.is_staff):
            logger.warning("login_failed", user_id=user and user.pk, locked=False)
            raise ImmediateHttpResponse(render(request, "school/not_staff.html", status=403))
        if not sociallogin.is_existing:
            sociallogin.connect(request, user)

    def _user_by_claim(self, sociallogin: Any) -> Any:
        extra_data = sociallogin.account.extra_data
        claims = {**extra_data.get("id_token", {}), **extra_data.get("userinfo", {}), **extra_data}
        value, users = claims.get(settings.SSO.claim), get_user_model().objects
        if not value or not isinstance(value, str):
            return None
        if settings.SSO.claim != "email":
            return users.filter(username=value).first()
        matches = list(users.filter(email__iexact=value)[:2]) if claims.get("email_verified") is True else []
        return matches[0] if len(matches) == 1 else None


def handle_unavailable_provider(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a view: answer 503 with a page if the provider does not answer, or sends an invalid answer."""

    @login_not_required
    @wraps(view)
    def wrapper(request: HttpRequest, **parts: Any) -> Any:
        try:
            return view(request, **parts)
        except RequestException as error:
            bind_cause(exception_type=type(error).__name__)
            return render(request, "school/provider_unavailable.html", status=503)

    return wrapper
