"""The token endpoint, for the one grant that is offered."""

from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse, JsonResponse
from oauth2_provider.views import TokenView

from school.api.clients import named_client
from school.logins import locked_out


class ClientTokenView(TokenView):
    """
    Give tokens for client credentials (RFC 6749, 4.4). Errors are in the words of section 5.2.

    What the toolkit would hand on to other grants, or to the database with a NUL in it, is refused before. Who guesses
    at a secret is locked out like who guesses at a password.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = request.POST
        if any("\0" in text for name in form for text in (name, *form.getlist(name))) or "resource" in form:
            return JsonResponse({"error": "invalid_request"}, status=400)
        if not request.headers.get("Authorization", "").isascii():
            return JsonResponse({"error": "invalid_client"}, status=401, headers={"WWW-Authenticate": "Basic"})
        if form.get("grant_type") != "client_credentials":
            return JsonResponse({"error": "unsupported_grant_type"}, status=400)
        credentials = {"username": f"client:{named_client(request)}"[:255]}
        if not AxesProxyHandler.is_allowed(request, credentials):
            return locked_out(request, None, credentials)
        answer: HttpResponse = super().post(request, *args, **kwargs)
        if answer.status_code == 401:
            user_login_failed.send(sender=type(self), credentials=credentials, request=request)
        elif answer.status_code == 200:
            AxesProxyHandler.get_implementation().reset_user_attempts(request, credentials)
        return answer
