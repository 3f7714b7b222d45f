"""Who may do what: a program by the scopes of its token, staff by Django's model permissions."""

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from school.api.grants import Grant
from school.limits import Limits, limits_of_staff

PERMISSIONS = {"POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


def may(request: Request, scope: str, permission: str) -> bool:
    """Tell whether a program has the scope in its token, or a member of staff the permission."""
    if isinstance(request.auth, Grant):
        return scope in request.auth.scopes
    return bool(request.user.has_perm(permission))


def limits_of(request: Any) -> Limits | None:
    """Return what the caller is limited to, None for everything."""
    grant = getattr(request, "auth", None)
    if isinstance(grant, Grant):
        return grant.limits
    user = getattr(request, "user", None)
    return limits_of_staff(user) if user and user.is_authenticated else None


class ScopeOrModelPermission(BasePermission):
    """
    Read a view's ``scope`` ("courses") and ``permission_model``.

    ``method_permissions`` renames the permission of a method where a view's DELETE, say, only changes a row; where it
    names several, all of them are needed.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not (request.user and request.user.is_authenticated):
            return False
        access = "read" if request.method in SAFE_METHODS else "write"
        options = view.permission_model._meta
        names = {**PERMISSIONS, **getattr(view, "method_permissions", {})}
        verbs = names.get(str(request.method), "view")
        verbs = [verbs] if isinstance(verbs, str) else verbs
        scope = f"{view.scope}:{access}"
        return all(may(request, scope, f"{options.app_label}.{verb}_{options.model_name}") for verb in verbs)
