"""The page of the admin that exports the CSV files of OneRoster."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from oneroster.bundle import VERSIONS
from oneroster.bundle_response import PERMISSION, bundle_response
from oneroster.mapping import V1P2
from oneroster.publishing import REQUEST_SECONDS, Behind, publish
from school.api.date_and_number_parsing import parse_instant


class ExportForm(forms.Form):
    version = forms.ChoiceField(
        label=gettext_lazy("Version of OneRoster"),
        choices=[(version, version) for version in VERSIONS],
        initial=V1P2,
        widget=UnfoldAdminSelectWidget,
    )
    delta_since = forms.CharField(
        label=gettext_lazy("Changed since"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("An instant such as 2026-09-01T00:00:00Z. Blank: everything."),
        widget=UnfoldAdminTextInputWidget,
    )

    def clean_delta_since(self) -> datetime | None:
        text = self.cleaned_data["delta_since"]
        return parse_instant(text) if text else None


def can_export(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(PERMISSION))


def export_page(request: HttpRequest) -> HttpResponseBase:
    """Show the form, and return the files for a valid one; raise ``PermissionDenied``."""
    if not can_export(request):
        raise PermissionDenied
    form = ExportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            publish(seconds=REQUEST_SECONDS)
            return bundle_response(request, form.cleaned_data["version"], form.cleaned_data["delta_since"])
        except Behind:
            form.add_error(None, _("Many changes are still being prepared. Try again in a few seconds."))
    context: dict[str, Any] = {**admin.site.each_context(request), "title": _("OneRoster files"), "form": form}
    return render(request, "oneroster/export.html", context)
