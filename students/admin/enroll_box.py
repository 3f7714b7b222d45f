"""Enroll from the page of a student or of a course, told before anything is saved what would happen."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _

from school.refusals import Refused
from students.acts import OnFull
from students.admin.tabs import TabbedPage
from students.enrollment import judge
from students.models import Status
from students.transitions import COURSE_FULL


class EnrollBox(TabbedPage):
    """
    A box with one side of an enrollment given. It is the form that enrolls everywhere in the admin.

    Asking and doing have one address, where the rules are asked by the same form: ``ask`` in what is sent says that
    nothing shall be done. With ``fragment`` the answer alone comes back, for a script; else a page with it.
    """

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.enroll)
        return [path("<id:pk>/enroll/", view, name=f"{self._place}_enroll"), *super().get_urls()]

    @property
    def _place(self) -> str:
        return str(self.opts.label_lower.replace(".", "_"))

    def box(self, request: HttpRequest, owner: Any, form: Any = None) -> dict[str, Any]:
        """Return what the template of the box needs: nothing for who may not enroll."""
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
        """Ask what would happen, or do it."""
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
            except Refused as refused:  # something has changed since the form asked; nothing was saved
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
            field.widget = getattr(field.widget, "widget", field.widget)  # without its links to add and to change
        return form

    @transaction.atomic  # what the form was told is true until it is done: the course stays locked
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
    """Return what would become of what the form asks for: its kind, a place in line, and every reason against it."""
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
    """Return the place in line of who is refused for want of a seat and has not asked to wait, if they could."""
    act, refusals = form.outcome.act, form.outcome.refusals
    if act.on_full == OnFull.WAITLIST or [refusal.code for refusal in refusals] != [COURSE_FULL]:
        return None
    [other] = judge([act._replace(on_full=OnFull.WAITLIST)], form.origin)
    return other.enrollment.waitlist_position if other.changed and other.enrollment else None
