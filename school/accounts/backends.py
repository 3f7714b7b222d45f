"""
Authentication backends of staff: one reads users and permissions, one withholds permissions from course staff.

The queries are compiled once, because each request with a session runs them.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db.models import Model

import school.db.lookups  # noqa: F401  # registers the lookup ``any_of``
from school.access.row_scope import OWN_COURSES_ONLY, has_own_courses_only
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


# The permissions that groups can grant to staff limited to their own courses. A permission that is not listed is
# denied: a new model or page is closed to them until it is listed here.
LIMITED_STAFF_PERMISSIONS = frozenset(
    {
        OWN_COURSES_ONLY,
        "courses.view_term",
        "courses.view_grade",
        "courses.view_course",
        "courses.change_course",
        "students.view_student",
        "students.view_studentcourse",
        "students.add_studentcourse",
        "students.change_studentcourse",
        "students.complete_enrollments",
        "students.waive_rules",
        "students.view_enrollmentevent",
        "students.view_refusedact",
    }
)


class OwnCoursesBackend:
    """
    Denies staff limited to their own courses every permission not in ``LIMITED_STAFF_PERMISSIONS``, even if their
    groups grant it.

    It precedes the backends that grant permissions: after ``PermissionDenied``, Django asks no other backend.
    """

    def authenticate(self, request: Any, **credentials: Any) -> None:
        """Return None, because no user can log in by this backend."""

    def has_perm(self, user_obj: Any, perm: str, obj: Model | None = None) -> bool:
        if perm not in LIMITED_STAFF_PERMISSIONS and has_own_courses_only(user_obj):
            raise PermissionDenied
        return False
