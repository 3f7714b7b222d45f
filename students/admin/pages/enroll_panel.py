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


class EnrollBox(TabbedPage):
    """
    Admin mixin with an enrollment form for a given student or course. It uses the form of the enrollment admin.

    Preview and enrollment have the same URL and the same form. With ``ask`` in the request, the form only previews the
    result. With ``fragment``, the response has only the result, for a script; otherwise it is a page with the result.
    """

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.enroll)
        return [path("<id:pk>/enroll/", view, name=f"{self._place}_enroll"), *super().get_urls()]

    @property
    def _place(self) -> str:
        return str(self.opts.label_lower.replace(".", "_"))

    def box(self, request: HttpRequest, owner: Any, form: Any = None) -> dict[str, Any]:
        """Return the template context of the form; empty if the user may not enroll students."""
        if not self.desk.has_add_permission(request):
            return {}
        form = form or self._form(request, owner)
        other = "student" if self.side == "course" else "course"
        return {
            "box": form,
            "box_other": form[other],
            "box_address": reverse(f"admin:{self._place}_enroll", args=[owner.pk]),
        }

    def enroll(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Preview an enrollment, or perform it."""
        owner = self.get_object(request, str(pk))
        if owner is None:
            raise Http404
        if not (self.has_view_permission(request, owner) and self.desk.has_add_permission(request)):
            raise PermissionDenied
        page = reverse(f"admin:{self._place}_change", args=[owner.pk])
        if request.method != "POST":
            return HttpResponseRedirect(page)
        form = self._form(request, owner, request.POST)
        form.in_earnest = "ask" not in request.POST
        if form.in_earnest:
            try:
                if self._done(request, form):
                    return HttpResponseRedirect(page)
            except Refused as refused:  # something has changed since the form was validated; nothing was saved
                messages.error(request, str(refused))
                return HttpResponseRedirect(page)
        answer = {"answer": answer_of(form)}
        if "fragment" in request.POST:
            return render(request, "students/desk/enroll_answer.html", answer)
        context = {
            **self.admin_site.each_context(request),
            **self.box(request, owner, form),
            "media": form.media,
            **answer,
            "title": _("Enroll"),
            "opts": self.opts,
            "original": owner,  # for the breadcrumbs
            "owner": owner,
            "side": self.side,
            "page": page,
        }
        return render(request, "students/desk/enroll.html", context)

    def _form(self, request: HttpRequest, owner: Any, sent: Any = None) -> Any:
        if sent is not None:
            sent = sent.copy()
            sent[self.side] = str(owner.pk)
        form = self.desk.get_form(request)(sent, initial={self.side: owner})
        for field in form.fields.values():
            field.widget = getattr(field.widget, "widget", field.widget)  # without the links to add and to change
        return form

    @transaction.atomic  # the course stays locked between the decision of the form and the enrollment
    def _done(self, request: HttpRequest, form: Any) -> bool:
        if not form.is_valid():
            return False
        self.desk.save_model(request, form.instance, form, change=False)
        if form.outcome.enrollment.status == Status.ENROLLED:
            student, course = form.cleaned_data["student"], form.cleaned_data["course"]
            messages.success(
                request, _("%(student)s is enrolled in %(course)s.") % {"student": student, "course": course}
            )
        return True


def answer_of(form: Any) -> dict[str, Any]:
    """Return the result of the form for the template: its kind, a waitlist position, and every reason against it."""
    is_filled_in = form.is_valid() or form.outcome is not None
    if not is_filled_in:
        return {"kind": "incomplete", "errors": [error for errors in form.errors.values() for error in errors]}
    outcome = form.outcome
    if outcome.refusals:
        return {"kind": "refused", "refusals": outcome.refusals, "could_wait_at": _place_if_waiting(form)}
    if not outcome.changed:
        return {"kind": "already", "errors": form.non_field_errors()}
    return {"kind": outcome.enrollment.status, "place": outcome.enrollment.waitlist_position}


def _place_if_waiting(form: Any) -> int | None:
    """
    Return the waitlist position that the student could have; None if there is none.

    Only for a student who is refused because the course is full, and whose request did not ask for the waitlist.
    """
    act, refusals = form.outcome.command, form.outcome.refusals
    if act.on_full == OnFull.WAITLIST or [refusal.code for refusal in refusals] != [COURSE_FULL]:
        return None
    [other] = dry_run([act._replace(on_full=OnFull.WAITLIST)], form.origin)
    return other.enrollment.waitlist_position if other.changed and other.enrollment else None
