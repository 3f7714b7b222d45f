"""The enrollment form on the admin page of a student or a course, with a preview of the result."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _

from school.refusals import Refused
from students.admin.tabs import TabbedPage
from students.enrollment import dry_run
from students.enrollment.commands import OnFull
from students.enrollment.transitions import COURSE_FULL
from students.models import Status


class EnrollPanel(TabbedPage):
    """
    Admin mixin with an enrollment form for a given student or course. It uses the form of the enrollment admin.

    Preview and enrollment have the same URL and the same form. With ``ask`` in the request, the form only previews the
    result. With ``fragment``, the response has only the result, for a script; otherwise it is a page with the result.
    """

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.enroll)
        return [path("<id:pk>/enroll/", view, name=f"{self._url_prefix}_enroll"), *super().get_urls()]

    @property
    def _url_prefix(self) -> str:
        return str(self.opts.label_lower.replace(".", "_"))

    def panel_context(self, request: HttpRequest, obj: Any, form: Any = None) -> dict[str, Any]:
        """Return the template context of the panel; empty if the user may not enroll students."""
        if not self.enrollment_admin.has_add_permission(request):
            return {}
        form = form or self._form(request, obj)
        other = "student" if self.enrollment_field == "course" else "course"
        return {
            "enroll_form": form,
            "other_field": form[other],
            "enroll_url": reverse(f"admin:{self._url_prefix}_enroll", args=[obj.pk]),
        }

    def enroll(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Preview an enrollment, or execute it."""
        obj = self.get_object(request, str(pk))
        if obj is None:
            raise Http404
        if not (self.has_view_permission(request, obj) and self.enrollment_admin.has_add_permission(request)):
            raise PermissionDenied
        obj_url = reverse(f"admin:{self._url_prefix}_change", args=[obj.pk])
        if request.method != "POST":
            return HttpResponseRedirect(obj_url)
        form = self._form(request, obj, request.POST)
        form.record_refusals = "ask" not in request.POST
        if form.record_refusals:
            try:
                if self._enroll(request, form):
                    return HttpResponseRedirect(obj_url)
            except Refused as refused:  # something has changed since the form was validated; nothing was saved
                messages.error(request, str(refused))
                return HttpResponseRedirect(obj_url)
        result = {"enroll_result": preview_result(form)}
        if "fragment" in request.POST:
            return render(request, "students/pages/enroll_result.html", result)
        context = {
            **self.admin_site.each_context(request),
            **self.panel_context(request, obj, form),
            "media": form.media,
            **result,
            "title": _("Enroll"),
            "opts": self.opts,
            "original": obj,  # the breadcrumbs of the page need this object
            "obj": obj,
            "enrollment_field": self.enrollment_field,
            "obj_url": obj_url,
        }
        return render(request, "students/pages/enroll.html", context)

    def _form(self, request: HttpRequest, obj: Any, data: Any = None) -> Any:
        if data is not None:
            data = data.copy()
            data[self.enrollment_field] = str(obj.pk)
        form = self.enrollment_admin.get_form(request)(data, initial={self.enrollment_field: obj})
        for field in form.fields.values():
            field.widget = getattr(field.widget, "widget", field.widget)  # without the links to add and to change
        return form

    @transaction.atomic  # the course stays locked between the decision of the form and the enrollment
    def _enroll(self, request: HttpRequest, form: Any) -> bool:
        if not form.is_valid():
            return False
        self.enrollment_admin.save_model(request, form.instance, form, change=False)
        if form.outcome.enrollment.status == Status.ENROLLED:
            student, course = form.cleaned_data["student"], form.cleaned_data["course"]
            messages.success(
                request, _("%(student)s is enrolled in %(course)s.") % {"student": student, "course": course}
            )
        return True


def preview_result(form: Any) -> dict[str, Any]:
    """Return the result of the form for the template: its kind, the waitlist position and the refusals."""
    is_complete = form.is_valid() or form.outcome is not None
    if not is_complete:
        return {"kind": "incomplete", "errors": [error for errors in form.errors.values() for error in errors]}
    outcome = form.outcome
    if outcome.refusals:
        return {
            "kind": "refused",
            "refusals": outcome.refusals,
            "possible_waitlist_position": _possible_waitlist_position(form),
        }
    if not outcome.changed:
        return {"kind": "already", "errors": form.non_field_errors()}
    return {"kind": outcome.enrollment.status, "waitlist_position": outcome.enrollment.waitlist_position}


def _possible_waitlist_position(form: Any) -> int | None:
    """
    Return the waitlist position that the student could have; None if there is none.

    Only for a student who is refused because the course is full, and whose request did not ask for the waitlist.
    """
    command, refusals = form.outcome.command, form.outcome.refusals
    if command.on_full == OnFull.WAITLIST or [refusal.code for refusal in refusals] != [COURSE_FULL]:
        return None
    [other] = dry_run([command._replace(on_full=OnFull.WAITLIST)], form.actor)
    return other.enrollment.waitlist_position if other.changed and other.enrollment else None
