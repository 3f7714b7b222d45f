"""The admin's exports as of an earlier day: the parameter of a roster, and the form of all enrollments."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from bulk.admin.list_export import ListExport
from courses.models import Term
from school.access.access_log import record_export
from school.http.csv_response import csv_response
from school.refusals import Refused
from students.admin.search import visible_rows
from students.as_of_parameter import parse_as_of
from students.events.as_of import AS_OF


class AsOfField(forms.CharField):
    """A form field for an instant, a day or a census day. ``terms`` are those that the user sees."""

    terms = Term.objects.none()

    def clean(self, value: Any) -> datetime | None:
        text: str = super().clean(value)
        try:
            return parse_as_of(text, self.terms) if text else None
        except Refused as refused:
            raise ValidationError(str(refused), code=refused.refusals[0].code) from None


class AsOfExportForm(forms.Form):
    as_of = AsOfField(
        label=gettext_lazy("As of"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("A day, such as 2026-10-01, or census:2026F for the census day of a term."),
    )
    term = forms.ModelChoiceField(
        Term.objects.none(),
        label=gettext_lazy("Term"),
        required=False,
        empty_label=gettext_lazy("all terms"),
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.GET if AS_OF in request.GET else None)
        fields: Any = self.fields
        fields["as_of"].terms = fields["term"].queryset = visible_rows(request, Term)


def as_of_from_request(request: HttpRequest) -> datetime | None:
    """Return the instant of the parameter ``as_of``, None without it; raise ``ValidationError``."""
    field = AsOfField(required=False, max_length=100)
    field.terms = visible_rows(request, Term)
    return field.clean(request.GET.get(AS_OF, ""))


class AsOfExport(ListExport):
    """Adds a button to the list of enrollments that exports those of an earlier day."""

    actions_list = ("export_list", "export_as_of")

    @action(  # type: ignore[untyped-decorator]  # the theme has no types
        description=gettext_lazy("Export an earlier day"),
        url_path="export-as-of",
        icon="history",
        permissions=["export"],
    )
    def export_as_of(self, request: HttpRequest) -> Any:
        """Show the form; with its values, return the enrollments of that day as CSV."""
        form = AsOfExportForm(request)
        if not form.is_valid():
            context = {
                **self.admin_site.each_context(request),
                "title": _("Export an earlier day"),
                "opts": self.opts,
                "form": form,
            }
            return render(request, "students/export_as_of.html", context)
        rows = self.get_queryset(request)
        if form.cleaned_data["term"]:
            rows = rows.filter(course__term=form.cleaned_data["term"])
        listed = self.model._default_manager.filter(pk__in=rows.order_by().values("pk"))
        if self.list_export.subject:
            with transaction.atomic():
                record_export(request, self.list_export.subject)
        lines = (text for _count, text in self.list_export.stream(listed, form.cleaned_data["as_of"]))
        return csv_response(lines, f"{self.list_export.kind}.csv", with_bom=True)
