"""The admin page that copies the courses of a term to another term."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from bulk.importers.registry import rights_of
from bulk.models import Import, ImportChannel, Review
from courses.imports import CourseImporter
from courses.models import Course, Term
from courses.staff_column import STAFF, StaffColumn
from courses.term_copy import MAX_SHIFT_DAYS, CourseCopy, submit_copy
from school.observability.logging import current_request_id
from school.refusals import Refused

STAFF_PERMISSION = StaffColumn.rights[STAFF][1]


class CopyForm(forms.Form):
    to = forms.ModelChoiceField(Term.objects.none(), label=gettext_lazy("To the term"), widget=UnfoldAdminSelectWidget)
    shift_days = forms.IntegerField(
        label=gettext_lazy("Move dates by days"),
        initial=0,
        min_value=-MAX_SHIFT_DAYS,
        max_value=MAX_SHIFT_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy("The days and times of the courses move by this number of days, 364 for a year."),
    )
    with_staff = forms.BooleanField(
        label=gettext_lazy("With the course staff"), required=False, widget=UnfoldBooleanSwitchWidget
    )


class CopyCourses(ModelAdmin):
    """Admin mixin for terms. It submits an import, which waits for approval after its preview."""

    actions_detail: Any = ["copy_courses"]

    def has_copy_courses_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        imports = self.admin_site.get_model_admin(Import)
        return imports.has_add_permission(request) and bool(request.user.has_perm("courses.add_course"))

    @action(  # type: ignore[untyped-decorator]  # the theme has no types
        description=gettext_lazy("Copy courses"),
        url_path="copy-courses",
        icon="content_copy",
        permissions=["copy_courses"],
    )
    def copy_courses(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the form; with its values, submit the import and redirect to its preview."""
        term: Any = self.get_object(request, object_id)
        if term is None:
            raise Http404
        form = CopyForm(request.POST or None)
        fields: Any = form.fields
        fields["to"].queryset = self.get_queryset(request).exclude(pk=term.pk)
        if not request.user.has_perm(STAFF_PERMISSION):
            del fields["with_staff"]
        if request.method == "POST" and form.is_valid() and (response := self._submit(request, term, form)):
            return response
        context = {
            **self.admin_site.each_context(request),
            "title": _("Copy courses"),
            "opts": self.opts,
            "term": term,
            "count": Course.objects.filter(term=term).count(),
            "form": form,
            "page_url": reverse("admin:courses_term_change", args=[term.pk]),
        }
        return render(request, "courses/copy_courses.html", context)

    def _submit(self, request: HttpRequest, term: Term, form: CopyForm) -> HttpResponse | None:
        """Submit the import; return the next page, None if the form has an error."""
        if not request.user.has_perm("courses.add_course"):
            raise PermissionDenied
        data = form.cleaned_data
        copy = CourseCopy(term, data["to"], data["shift_days"], data.get("with_staff", False))
        rights = rights_of(CourseImporter.kind).items()
        try:
            job = submit_copy(
                copy,
                channel=ImportChannel.ADMIN,
                request_id=current_request_id(),
                review=Review.ALWAYS,
                actor=request.user,
                rights=tuple(name for name, (_scope, permission) in rights if request.user.has_perm(permission)),
            )
        except Refused as refused:
            form.add_error(None, str(refused))
            return None
        if job is None:
            messages.info(request, _("%(term)s has all these courses already.") % {"term": copy.target})
            return HttpResponseRedirect(reverse("admin:courses_term_change", args=[term.pk]))
        return HttpResponseRedirect(reverse("admin:bulk_import_change", args=[job.pk]))
