"""Admin pages that show, export and erase the personal data of a student, and the record of views of students."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from bulk.models import Import
from school.access.access_log import Door, Subject, record_export, record_view
from school.refusals import Refused
from school.validators import plain_text
from students.models import EnrollmentEvent, StudentCourse
from students.privacy import ErasureResult, collect_personal_data, erase, erasure_blockers, person_of
from students.privacy.export_formats import WRITERS
from students.privacy.person_lookup import Person, StudentHistory, refuse_reason_with_identifier
from students.privacy.transient_copies import remove_identifying_values

EXPORT, ERASE = "students.export_personal_data", "students.erase_student"
TYPES = {"json": "application/json; charset=utf-8", "html": "text/html; charset=utf-8"}


class ExportForm(forms.Form):
    format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=[("html", gettext_lazy("HTML page")), ("json", gettext_lazy("JSON"))],
        widget=UnfoldAdminSelectWidget,
    )
    reason = forms.CharField(
        label=gettext_lazy("Recipient and reason"),
        max_length=1000,
        required=False,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget,
    )


class EraseForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=1000,
        validators=[plain_text],
        help_text=gettext_lazy("Stored in the record of access. Do not enter personal data."),
        widget=UnfoldAdminTextInputWidget,
    )
    number = forms.CharField(
        label=gettext_lazy("Student number"),
        max_length=64,
        help_text=gettext_lazy("Enter the student number to confirm."),
        widget=UnfoldAdminTextInputWidget,
    )

    def __init__(self, data: Any = None, number: str | None = None) -> None:
        super().__init__(data, auto_id="id_erase_%s")  # the page has two forms, so the ids must differ
        self.expected_number = number

    def clean_number(self) -> str:
        number: str = self.cleaned_data["number"]
        if number != self.expected_number:
            raise forms.ValidationError(_("This is not the student's number."), code="not_the_number")
        return number


class PersonalDataViews(SimpleHistoryAdmin, ModelAdmin):
    """Admin mixin with pages about a student's personal data. Views of a student go into the record of access."""

    actions_detail = ["personal_data"]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        own = [
            path("<id:pk>/personal-data/export/", view(self.export), name="students_student_export"),
            path("<id:pk>/personal-data/erase/", view(self.erase), name="students_student_erase"),
        ]
        return [*own, *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_erased = obj is not None and obj.erased_at is not None
        return not is_erased and super().has_change_permission(request, obj)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        return self._record_view(request, object_id, super().change_view(request, object_id, form_url, extra_context))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        return self._record_view(request, object_id, super().history_view(request, object_id, extra_context))

    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, **kwargs: Any) -> Any:
        # This checks that the student is not erased, because the form of an earlier version may be older than the
        # erasure.
        student = self.get_object(request, object_id)
        if request.method == "POST" and student is not None and not self.has_change_permission(request, student):
            raise PermissionDenied
        response = super().history_form_view(request, object_id, version_id, **kwargs)
        return self._record_view(request, object_id, response)

    def _record_view(self, request: HttpRequest, object_id: str, response: Any) -> Any:
        if request.method == "GET" and response.status_code == 200:
            record_view(request, int(object_id))
        return response

    def has_personal_data_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return any(request.user.has_perm(permission) for permission in (EXPORT, ERASE))

    @action(  # type: ignore[untyped-decorator]  # from the admin theme
        description=gettext_lazy("Personal data"),
        url_path="personal-data",
        icon="shield_person",
        permissions=["personal_data"],
    )
    def personal_data(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the amount of data held on a student, and the forms to export and to erase it."""
        return self._page(request, self._person(request, object_id, EXPORT, ERASE))

    def export(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Export all data held on a student as a file."""
        person = self._person(request, pk, EXPORT)
        form = ExportForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._page(request, person, export_form=form)
        try:
            refuse_reason_with_identifier(person, form.cleaned_data["reason"])
        except Refused as refused:
            form.add_error("reason", str(refused))
            return self._page(request, person, export_form=form)
        export_format = form.cleaned_data["format"]
        with transaction.atomic():
            record_export(request, Subject.STUDENT, student_id=pk, reason=form.cleaned_data["reason"])
            content = WRITERS[export_format](collect_personal_data(person))
        disposition = f'attachment; filename="student-{pk}.{export_format}"'
        return HttpResponse(content, content_type=TYPES[export_format], headers={"Content-Disposition": disposition})

    def erase(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Erase the student's data permanently if the user has typed the student number."""
        person = self._person(request, pk, ERASE)
        form = EraseForm(request.POST or None, number=person.student.student_number if person.student else None)
        if request.method != "POST" or not form.is_valid():
            return self._page(request, person, erase_form=form)
        try:
            result = erase(person, reason=form.cleaned_data["reason"], door=Door.ADMIN, actor=request.user)
        except Refused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(reverse("admin:students_student_personal_data", args=[pk]))
        # The middleware saves the session of this request again.
        remove_identifying_values(request.session, person.identifiers)
        _message_result(request, result)
        return HttpResponseRedirect(reverse("admin:students_student_change", args=[pk]))

    def _person(self, request: HttpRequest, pk: int | str, *permissions: str) -> Person:
        student = self.get_object(request, str(pk))
        if student is None:
            raise Http404
        is_allowed = self.has_view_permission(request, student) and any(
            request.user.has_perm(permission) for permission in permissions
        )
        if not is_allowed:
            raise PermissionDenied
        return person_of(student)

    def _page(self, request: HttpRequest, person: Person, **forms: Any) -> HttpResponse:
        enrollments = StudentCourse.objects.filter(student=person.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Personal data"),
            "opts": self.opts,
            "student": person.student,
            "original": person.student,  # for the breadcrumbs
            "pseudonym": person.pseudonym,
            "versions": StudentHistory.objects.filter(id=person.pk).count(),
            "enrollments": enrollments.count(),
            "entries": EnrollmentEvent.objects.filter(enrollment__in=enrollments).count(),
            "imports": Import.objects.filter(discarded_at=None).count(),
            "may_export": request.user.has_perm(EXPORT),
            "may_erase": request.user.has_perm(ERASE),
            "objections": erasure_blockers(person),
            "export_form": ExportForm(),
            "erase_form": EraseForm(),
            **forms,
        }
        return render(request, "students/personal_data.html", context)


def _message_result(request: HttpRequest, result: ErasureResult) -> None:
    messages.success(
        request, _("The personal data was erased. The student is now called %(name)s.") % {"name": result.pseudonym}
    )
    rows = sum(result.imports.values())
    if rows:
        message = _("%(rows)s rows redacted in the files of %(imports)s imports.")
        messages.info(request, message % {"rows": rows, "imports": len(result.imports)})
    if result.imports_discarded:
        ids = ", ".join(map(str, result.imports_discarded))
        message = _("The files of these imports could not be searched and were deleted: %(ids)s.")
        messages.warning(request, message % {"ids": ids})
    if result.named_in_journal:
        message = _("%(n)s journal entries have a reason that contains the name. The journal cannot be changed.")
        messages.warning(request, message % {"n": len(result.named_in_journal)})
    if result.named_in_access:
        message = _(
            "%(n)s entries in the record of access have a reason that contains the name. They cannot be changed."
        )
        messages.warning(request, message % {"n": len(result.named_in_access)})
