"""Permissions: API clients need the scopes of their token, staff users need Django's model permissions."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from school.access.row_scope import RowScope, row_scope_of_staff
from school.api.token_grants import Grant

METHOD_PERMISSIONS = {"POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


def is_permitted(request: Request, scope: str, permission: str) -> bool:
    """Return True if the client's token has the scope, or the staff user has the permission."""
    if isinstance(request.auth, Grant):
        return scope in request.auth.scopes
    return bool(request.user.has_perm(permission))


def service_account_of(request: Any) -> Any:
    """Return the service account of the API client that calls, None for a staff user."""
    return request.user if isinstance(getattr(request, "auth", None), Grant) else None


class MissingPermission(PermissionDenied):
    """
    A token lacks a scope, or a staff user lacks permissions.

    The error response names the scope or the permissions.
    """

    def __init__(self, request: Request | HttpRequest, scope: str, permissions: Sequence[str]) -> None:
        if isinstance(getattr(request, "auth", None), Grant):
            super().__init__(_("The token lacks the scope %(scope)s.") % {"scope": scope})
            self.members = {"missing_scope": scope}
        else:
            names = " ".join(permissions)
            super().__init__(_("Your account lacks the permission %(permission)s.") % {"permission": names})
            self.members = {"missing_permission": names}


def row_scope_of(request: Any) -> RowScope | None:
    """Return the row scope of the caller, None if the caller is not limited."""
    grant = getattr(request, "auth", None)
    if isinstance(grant, Grant):
        return grant.row_scope
    user = getattr(request, "user", None)
    return row_scope_of_staff(user) if user and user.is_authenticated else None


def scope_of(view: Any, method: str) -> str:
    """Return the scope that a client needs: ``required_scope`` of the view if it has the same for all methods."""
    access = "read" if method in SAFE_METHODS else "write"
    return getattr(view, "required_scope", f"{view.scope}:{access}")


def check_permissions(request: Request, view: Any, verbs: Sequence[str]) -> None:
    """
    Raise ``MissingPermission`` unless the caller may do all of this ("add", "change") with the view's model.

    API clients need the view's scope; staff users need Django's model permissions.
    """
    options = view.permission_model._meta
    scope = scope_of(view, str(request.method))
    permissions = [f"{options.app_label}.{verb}_{options.model_name}" for verb in verbs]
    missing = [permission for permission in permissions if not is_permitted(request, scope, permission)]
    if missing:
        raise MissingPermission(request, scope, missing)


class ScopeOrModelPermission(BasePermission):
    """
    Checks a view's ``scope`` ("courses") for clients, and the permissions on its ``permission_model`` for staff users.

    ``method_permissions`` replaces the permissions for an HTTP method, for example for a DELETE that only changes a
    row. If a method has several permissions, all of them are required. Raises ``MissingPermission`` if the caller lacks
    the scope or a permission.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not (request.user and request.user.is_authenticated):
            return False
        names = {**METHOD_PERMISSIONS, **getattr(view, "method_permissions", {})}
        verbs = names.get(str(request.method), "view")
        check_permissions(request, view, [verbs] if isinstance(verbs, str) else verbs)
        return True
