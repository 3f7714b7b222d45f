"""Admin mixin that exports a list as CSV."""

from typing import Any, ClassVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action

from bulk.exports import Export
from school.access.access_log import record_export
from school.http.csv_response import csv_response


class ListExport(ModelAdmin):
    """
    Adds a button to a list that exports its rows, with the search and the filters of the list.

    Every user who may see the list may export it. The record of access has each export of personal data.
    """

    list_export: ClassVar[Export]
    actions_list: Any = ("export_list",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list; its button repeats the query of the page."""
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data and request.GET:
            address = self._address("export_list")
            for each in response.context_data.get("actions_list", ()):
                if each.get("path") == address:
                    each["path"] = f"{address}?{request.GET.urlencode()}"
        return response

    def _address(self, name: str) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{name}")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    @action(  # type: ignore[untyped-decorator]  # the theme has no types
        description=gettext_lazy("Export as CSV"), url_path="export", icon="download", permissions=["export"]
    )
    def export_list(self, request: HttpRequest) -> Any:
        """Return the rows of the list as CSV, with the columns that the import reads."""
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{self._address('changelist')}?{ERROR_FLAG}=1")
        listed = self.model._default_manager.filter(pk__in=rows.order_by().values("pk"))
        if self.list_export.subject:
            with transaction.atomic():
                record_export(request, self.list_export.subject)
        lines = (text for _count, text in self.list_export.stream(listed))
        return csv_response(lines, f"{self.list_export.kind}.csv", with_bom=True)
