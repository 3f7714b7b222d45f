"""Middleware that checks the permission to upload a file before the file is read."""

from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase, HttpResponseForbidden
from django.shortcuts import resolve_url
from django.template.loader import render_to_string

from school.api.permissions import MissingPermission
from school.http.error_handlers import response_to_exception
from school.http.request_checks import UPLOAD_PATHS

UPLOAD_PERMISSION = "bulk.add_import"


class UploadPermissionMiddleware:
    """
    Rejects an upload by a user without permission before any code reads the body.

    Django's CSRF check reads the form, including a file of any size, before the view checks login and permission. A
    request with a token, or any other ``Authorization`` header, has no CSRF check, so there the view rejects it first.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponseBase | None:
        if request.method != "POST" or request.path_info.rstrip("/") not in UPLOAD_PATHS:
            return None
        is_api = request.path_info.startswith("/api/")
        if is_api and "HTTP_AUTHORIZATION" in request.META:
            return None
        user: Any = request.user
        if not (user.is_active and user.is_staff):
            return None if is_api else redirect_to_login(request.get_full_path(), resolve_url(settings.LOGIN_URL))
        if user.has_perm(UPLOAD_PERMISSION):
            return None
        if is_api:
            return response_to_exception(request, MissingPermission(request, "imports:write", [UPLOAD_PERMISSION]))
        # Django's handler of PermissionDenied would run the CSRF check to render its page.
        return HttpResponseForbidden(render_to_string("403.html", request=request))
