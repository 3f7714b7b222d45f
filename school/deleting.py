"""What has a history is not deleted, and the page that asks says so in a line each."""

from collections.abc import Collection
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin


class KeptByHistory(ModelAdmin):
    """Rows that others belong to, by the relation ``kept_by``. Django would name each of them, reading all of it."""

    kept_by: str
    delete_confirmation_template = "school/delete_confirmation.html"
    delete_selected_confirmation_template = "school/delete_selected_confirmation.html"

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        chosen: Collection[Any] = list(objs)
        rows = self.model._default_manager.filter(pk__in=[each.pk for each in chosen]).order_by()
        counts = dict(rows.annotate(kept=Count(self.kept_by)).filter(kept__gt=0).values_list("pk", "kept"))
        free = [each for each in chosen if each.pk not in counts]
        to_delete, numbers, lacking, protected = super().get_deleted_objects(free, request)
        kind = self.model._meta.get_field(self.kept_by).related_model._meta.verbose_name_plural
        message = _("%(what)s (%(kind)s: %(n)s)")
        kept = [message % {"what": each, "kind": kind, "n": counts[each.pk]} for each in chosen if each.pk in counts]
        return to_delete, numbers, lacking, [*kept, *protected]
