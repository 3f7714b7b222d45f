"""How allauth lets staff in. Nobody signs up, and nobody but staff comes in."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from school.addresses import client_address


class StaffAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Leave guesses at passwords to axes: allauth would lock a name wherever it is used, and so somebody else."""

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        user = super().authenticate(request, **credentials)
        return user if user is not None and user.is_staff else None

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)
