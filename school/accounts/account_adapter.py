"""The allauth adapter for staff: sign-up is closed, and only staff can log in."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from school.http.client_ip import client_address


class StaffAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """
        Do nothing, because django-axes limits password guesses. allauth would lock the name for all addresses, also for
        its owner.
        """

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        user = super().authenticate(request, **credentials)
        return user if user is not None and user.is_staff else None

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)
