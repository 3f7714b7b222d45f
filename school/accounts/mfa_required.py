"""Enforces the second factor if it is required: staff users without one are redirected to the page that sets one up."""

from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _


def lacks_second_factor(request: HttpRequest) -> bool:
    """Return True if the logged-in user has no second factor. Users who logged in by single sign-on are exempt."""
    records = get_authentication_records(request, request.user)
    by_provider = any(each.get("method") == "socialaccount" for each in records)
    return not by_provider and not get_adapter().is_mfa_enabled(request.user)


class SecondFactorMiddleware:
    """
    Redirects users without a second factor from the admin to the page that sets one up.

    In the API, ``StaffAuthentication`` refuses these users.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith("/admin/") and request.user.is_authenticated and lacks_second_factor(request):
            messages.warning(request, _("Set up a second factor first: an authenticator app or a passkey."))
            return HttpResponseRedirect(reverse("mfa_index"))
        return self.get_response(request)
