"""Admin mixins for deletion: rows that others refer to are protected, and the confirmation page stays small."""

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from school.http.form_limits import size_in_page

MAX_SELECTED = 100  # the maximum number of rows to delete at a time
# The maximum size of the names of objects to delete, and of protected objects, on the confirmation page.
MAX_NAMES_BYTES = 20_000


@admin.action(permissions=["delete"], description=delete_selected.short_description)  # type: ignore[attr-defined]
def delete_bounded(modeladmin: Any, request: HttpRequest, queryset: Any) -> HttpResponse | None:
    """Run Django's action ``delete_selected`` for at most ``MAX_SELECTED`` rows; show an error for more."""
    if len(queryset.order_by().values_list("pk")[: MAX_SELECTED + 1]) > MAX_SELECTED:
        messages.error(
            request, _("At most %(most)s objects can be deleted at a time. Select fewer.") % {"most": MAX_SELECTED}
        )
        return None
    response: HttpResponse | None = delete_selected(modeladmin, request, queryset)
    return response


class BoundedDeletion(admin.ModelAdmin):
    """
    Limits the names on the confirmation page to ``MAX_NAMES_BYTES``.

    Every admin that is registered with ``SchoolAdminSite`` has this mixin.
    """

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        to_delete, numbers, lacking, protected = super().get_deleted_objects(objs, request)
        return _truncate_names(to_delete), numbers, lacking, _truncate_names(protected)


def _truncate_names(names: list[Any]) -> list[Any]:
    """
    Return the first names, up to ``MAX_NAMES_BYTES``, and a note of how many more there are.

    Names may be nested lists.
    """
    room, more = MAX_NAMES_BYTES, 0

    def fitting(names: list[Any]) -> list[Any]:
        nonlocal room, more
        fitting_names: list[Any] = []
        for each in names:
            if isinstance(each, list):
                fitting_names += [nested] if (nested := fitting(each)) else []
                continue
            room -= 40 + size_in_page(each)
            if room < 0:
                more += 1
            else:
                fitting_names.append(each)
        return fitting_names

    fitting_names = fitting(names)
    return [*fitting_names, _("And %(n)s more.") % {"n": more}] if more else fitting_names


class ProtectedByRelation(ModelAdmin):
    """
    Protects rows that other rows refer to by the relation ``protected_by``; the confirmation page counts those rows.

    Django would read and name each of them.
    """

    protected_by: str
    delete_confirmation_template: Any = "school/delete_confirmation.html"
    delete_selected_confirmation_template: Any = "school/delete_selected_confirmation.html"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Offer to delete a row only if no other row refers to it."""
        row = context["original"]
        if row is not None and getattr(row, self.protected_by).exists():
            context = {**context, "show_delete": False}
        return super().render_change_form(request, context, *args, **kwargs)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._lock([obj.pk])
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        self._lock(queryset.values_list("pk", flat=True))
        super().delete_queryset(request, queryset)

    def _lock(self, ids: Iterable[int]) -> None:
        """Lock the rows before the rows that refer to them are deleted, so that no such row is added in between."""
        rows = self.model._base_manager.filter(pk__in=list(ids)).order_by("pk")
        list(rows.select_for_update().values_list("pk", flat=True))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        selected: Collection[Any] = list(objs)
        rows = self.model._default_manager.filter(pk__in=[each.pk for each in selected]).order_by()
        counts = dict(
            rows.annotate(reference_count=Count(self.protected_by))
            .filter(reference_count__gt=0)
            .values_list("pk", "reference_count")
        )
        unreferenced = [each for each in selected if each.pk not in counts]
        to_delete, numbers, lacking, protected = super().get_deleted_objects(unreferenced, request)
        kind = self.model._meta.get_field(self.protected_by).related_model._meta.verbose_name_plural
        message = _("%(what)s (%(kind)s: %(n)s)")
        referenced = [
            message % {"what": each, "kind": kind, "n": counts[each.pk]} for each in selected if each.pk in counts
        ]
        return to_delete, numbers, lacking, [*referenced, *protected]
