"""Authentication backend with queries that are compiled once, because each request with a session runs them."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission

from school.db.compiled_queries import PreparedQuery, run_pipeline

USERS_BY_ID: PreparedQuery[Any] = PreparedQuery(lambda ids: get_user_model()._default_manager.filter(pk__any_of=ids))
USER_PERMISSIONS: PreparedQuery[Any] = PreparedQuery(
    lambda ids: _permission_names(Permission.objects.filter(user__pk__any_of=ids))
)
GROUP_PERMISSIONS: PreparedQuery[Any] = PreparedQuery(
    lambda ids: _permission_names(Permission.objects.filter(group__user__pk__any_of=ids))
)


def _permission_names(permissions: Any) -> Any:
    return permissions.order_by().values_list("content_type__app_label", "codename")


class StaffBackend(ModelBackend):
    """Django's ``ModelBackend`` with the same users and permissions, read by compiled statements."""

    def get_user(self, user_id: int) -> Any:
        for user in USERS_BY_ID([int(user_id)]):
            return user if self.user_can_authenticate(user) else None
        return None

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not user_obj.is_active or user_obj.is_anonymous or user_obj.is_superuser or obj is not None:
            return super().get_all_permissions(user_obj, obj)
        # Stored on the user, so that the permissions are read once for each request.
        if not hasattr(user_obj, "all_permissions"):
            user_permissions, group_permissions = run_pipeline(
                (USER_PERMISSIONS, [[user_obj.pk]]), (GROUP_PERMISSIONS, [[user_obj.pk]])
            )
            user_obj.all_permissions = {
                f"{label}.{codename}" for label, codename in [*user_permissions, *group_permissions]
            }
        permissions: set[str] = user_obj.all_permissions
        return permissions
