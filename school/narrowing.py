"""The admin for who is limited to own courses: what lies outside is as if it were not there, on whatever page."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest

from school.limits import SEEN, limits_of_staff, within


class Narrowed(admin.ModelAdmin):
    """
    What ``DeskSite`` puts in front of everything that is registered, so that no page can be forgotten.

    Of a kind of rows that no limits are known for, nothing is seen.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self._narrowed(request, super().get_queryset(request))

    def _narrowed(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        limits = limits_of_staff(request.user)
        if limits is None:
            return rows
        return within(rows, limits) if self.model._meta.label in SEEN else rows.none()

    def _lies_within(self, request: HttpRequest, obj: Any) -> bool:
        if obj is None or limits_of_staff(request.user) is None:
            return True
        return self._narrowed(request, self.model._base_manager.filter(pk=getattr(obj, "pk", obj))).exists()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and self._lies_within(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._lies_within(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._lies_within(request, obj)

    _get_obj_does_not_exist_redirect: Any  # Django's own, which its types do not know

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the history of what is there. Libraries look at versions also where the row is not seen."""
        if self._is_hidden(request, object_id):
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return super().history_view(request, object_id, extra_context)

    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, **kwargs: Any) -> Any:
        if self._is_hidden(request, object_id):
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return super().history_form_view(request, object_id, version_id, **kwargs)  # type: ignore[misc]  # of the history

    def _is_hidden(self, request: HttpRequest, object_id: str) -> bool:
        if limits_of_staff(request.user) is None or not self.has_view_permission(request):
            return False
        return self.get_object(request, unquote(object_id)) is None
