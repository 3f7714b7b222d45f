"""The token endpoint for the one grant that is offered: client credentials."""

from typing import Any

import structlog
from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse, JsonResponse
from oauth2_provider.views import TokenView

from school.accounts.lockout import lockout_response
from school.api.token_requests import client_id_of, has_ambiguous_client

logger = structlog.get_logger(__name__)


class ClientTokenView(TokenView):
    """
    Issues tokens for client credentials (RFC 6749, 4.4), with the errors of section 5.2.

    Requests that the toolkit would pass to other grants, or to the database with a NUL in them, are refused first.
    After repeated wrong secrets a client is locked for the caller's address, as a user name is. The lock depends on the
    client that a request names, so a request that names several is refused.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = request.POST
        has_nul = any("\0" in text for name in form for text in (name, *form.getlist(name)))
        if has_nul or "resource" in form or has_ambiguous_client(request):
            return JsonResponse({"error": "invalid_request"}, status=400)
        if not request.headers.get("Authorization", "").isascii():
            return JsonResponse({"error": "invalid_client"}, status=401, headers={"WWW-Authenticate": "Basic"})
        if form.get("grant_type") != "client_credentials":
            return JsonResponse({"error": "unsupported_grant_type"}, status=400)
        credentials = {"username": f"client:{client_id_of(request)}"[:255]}
        if not AxesProxyHandler.is_allowed(request, credentials):
            return lockout_response(request, None, credentials)
        response: HttpResponse = super().post(request, *args, **kwargs)
        if response.status_code == 401:
            user_login_failed.send(sender=type(self), credentials=credentials, request=request)
        elif response.status_code == 200:
            AxesProxyHandler.get_implementation().reset_user_attempts(request, credentials)
            logger.info("token_taken", client_id=client_id_of(request))
        return response
