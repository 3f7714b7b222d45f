"""The admin of records that nobody adds, changes or deletes there."""

from typing import Any

from django.http import HttpRequest


class ReadOnlyMixin:
    """Lets users with the permission to view the rows view them, and nobody write them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
