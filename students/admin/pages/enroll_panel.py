"""The panel that enrolls one student, with a preview of the result: on the pages of students, courses, enrollments."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from school.refusals import Refused
from students.admin.actions.bulk_actions import UNDO, action_url
from students.admin.actions.full_course_notes import lost_corequisite_notes
from students.admin.tabs import TabbedPage
from students.enrollment.commands import OnFull
from students.enrollment.preview import Preview
from students.enrollment.rules import WAIVABLE_CODES
from students.enrollment.transitions import COURSE_FULL
from students.models import Action, Status, StudentCourse
from students.seats import Seats, get_seats
from students.templatetags.refusal_titles import titles

# The refusals that end if a rule is waived, or if the waiver gets a reason.
HELPED_BY_WAIVER = WAIVABLE_CODES | {"waitlist_full", "waiver_needs_reason"}


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
        return panel_context(form, [other], reverse(f"admin:{self._url_prefix}_enroll", args=[obj.pk]))

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
                    message_enrolled(request, self.enrollment_admin, form.instance.pk, obj_url)
                    return HttpResponseRedirect(obj_url)
            except Refused as refused:  # something has changed since the form was validated; nothing was saved
                messages.error(request, str(refused))
                return HttpResponseRedirect(obj_url)
        if "fragment" in request.POST:
            return panel_fragment(request, form)
        context = {
            **self.admin_site.each_context(request),
            **self.panel_context(request, obj, form),
            "title": _("Enroll"),
            "opts": self.opts,
            "original": obj,  # the breadcrumbs of the page need this object
            "obj": obj,
            "obj_url": obj_url,
        }
        return render(request, "students/pages/enroll.html", context)

    def _form(self, request: HttpRequest, obj: Any, data: Any = None) -> Any:
        if data is not None:
            data = data.copy()
            data[self.enrollment_field] = str(obj.pk)
        return self.enrollment_admin.get_form(request)(data, initial={self.enrollment_field: obj})

    @transaction.atomic  # the course stays locked between the decision of the form and the enrollment
    def _enroll(self, request: HttpRequest, form: Any) -> bool:
        if not form.is_valid():
            return False
        self.enrollment_admin.save_model(request, form.instance, form, change=False)
        return True


def panel_context(form: Any, names: Sequence[str], url: str) -> dict[str, Any]:
    """Return the template context of a panel whose form selects the student, the course or both: ``names``."""
    for field in form.fields.values():
        field.widget = getattr(field.widget, "widget", field.widget)  # without the links to add and to change
    return {
        "enroll_form": form,
        "enroll_fields": [form[name] for name in names],
        "enroll_required": " ".join(names),
        "enroll_url": url,
        "enroll_result": preview_result(form) if form.is_bound else None,
        "media": form.media,
    }


def panel_fragment(request: HttpRequest, form: Any) -> HttpResponse:
    """Return only the result of a form, for the script of the panel."""
    return render(request, "students/pages/enroll_result.html", {"enroll_result": preview_result(form)})


def preview_result(form: Any) -> dict[str, Any]:
    """
    Return the result of the form for the template: its kind, and the sentence or the refusals that explain it.

    If the student can be enrolled or waitlisted, ``button`` names that, and ``on_full`` is the value of the button:
    the student joins the waitlist only if the button said so. ``waives_capacity`` is true if the rule
    that the course is full is waived. ``notes`` name the courses whose corequisite the student would lose.
    """
    is_complete = form.is_valid() or form.outcome is not None
    if not is_complete:
        return {"kind": "incomplete", "errors": [error for errors in form.errors.values() for error in errors]}
    outcome = form.outcome
    if outcome.refusals:
        may_waive = "waive" in form.fields and any(each.code in HELPED_BY_WAIVER for each in outcome.refusals)
        return {"kind": "refused", "refusals": outcome.refusals, "may_waive": may_waive}
    if not outcome.changed:
        return {"kind": "already", "errors": form.non_field_errors()}
    [planned] = form.preview.planned_actions
    waived = planned.event.waived if planned.event else []
    # A student who gets a free seat that waiting students cannot take joins the waitlist first.
    is_waitlisted = planned.event is not None and planned.event.to_status == Status.WAITLISTED
    return {
        "kind": outcome.enrollment.status,
        "sentence": _sentence(form.preview),
        **_course_left(form.preview),
        "notes": lost_corequisite_notes(form.preview, form.visible_enrollments),
        "waived": titles([code for code in waived if code != COURSE_FULL]),
        "waives_capacity": COURSE_FULL in waived,
        "button": _button(outcome.enrollment.status, waived),
        "on_full": (OnFull.WAITLIST if is_waitlisted else OnFull.REJECT).value,
    }


def _sentence(preview: Preview) -> str:
    """Return the sentence about the way in which the student would be enrolled or waitlisted."""
    [(outcome, event)] = preview.planned_actions
    assert outcome.enrollment is not None
    assert event is not None
    if event.from_status == outcome.enrollment.status:  # a swap for a course that the student has already
        return _("Already enrolled.") if event.from_status == Status.ENROLLED else _("Already on the waitlist.")
    seats = preview.seats[outcome.command.course_id]
    numbers = {"taken": seats.taken, "capacity": seats.capacity}
    if outcome.enrollment.status == Status.WAITLISTED:
        position = {"place": outcome.enrollment.waitlist_position}
        return _("Would be waitlisted at %(place)s: no seat is free.") % position
    if COURSE_FULL in event.waived and seats.waiting:
        return _ahead_of(seats) % {**numbers, "waiting": seats.waiting}
    if COURSE_FULL in event.waived:
        return _("Would be enrolled over capacity (%(taken)s of %(capacity)s).") % numbers
    if seats.capacity is None:
        return _("Would be enrolled: the course has no limit.")
    return _("Would be enrolled: a seat is free (%(taken)s of %(capacity)s).") % numbers


def _course_left(preview: Preview) -> dict[str, str]:
    """Return the sentence about the course that the student leaves for the seat; empty if there is none."""
    [(outcome, _event)] = preview.planned_actions
    enrollment = outcome.enrollment
    if enrollment and enrollment.instead_of:
        return {"leaves": _("Leaves %(course)s with the promotion.") % {"course": enrollment.instead_of.full_code}}
    for left in (each.enrollment for each in preview.side_effects if each.event.action == Action.DROP):
        values = {"course": left.course.full_code, "status": left.get_status_display()}
        return {"leaves": _("Leaves %(course)s: %(status)s.") % values}
    return {}


def _ahead_of(seats: Seats) -> str:
    if seats.over:
        return ngettext(
            "Would be enrolled over capacity (%(taken)s of %(capacity)s), ahead of %(waiting)s waiting student.",
            "Would be enrolled over capacity (%(taken)s of %(capacity)s), ahead of %(waiting)s waiting students.",
            seats.waiting,
        )
    return ngettext(
        "Would be enrolled (%(taken)s of %(capacity)s), ahead of %(waiting)s waiting student.",
        "Would be enrolled (%(taken)s of %(capacity)s), ahead of %(waiting)s waiting students.",
        seats.waiting,
    )


def _button(status: str, waived: Sequence[str]) -> str:
    if status == Status.WAITLISTED:
        return _("Add to waitlist")
    return _("Enroll over capacity") if COURSE_FULL in waived else _("Enroll")


def message_enrolled(request: HttpRequest, enrollment_admin: Any, pk: int, next_url: str) -> None:
    """Tell the user the result, the new numbers of the course, and how to undo it: the page returns to ``next_url``."""
    enrollment = StudentCourse.objects.with_details().get(pk=pk)
    seats = get_seats(enrollment.course)
    values = {"student": enrollment.student, "course": enrollment.course, "place": enrollment.waitlist_position}
    told = _("%(student)s is enrolled in %(course)s.")
    if enrollment.status == Status.WAITLISTED:
        told = _("%(student)s is waitlisted at %(place)s in %(course)s.")
    undo = ""
    if enrollment_admin.has_bulk_action_permission(request, UNDO):
        undo = format_html('<a href="{}">{}</a>', action_url("undo", pk, next_url), _("Undo"))
    messages.success(request, format_html("{} {} {}", told % values, describe_seats(seats), undo))


def describe_seats(seats: Seats) -> str:
    """Return the numbers of a course in a sentence: "Seats: 52 of 51, waitlisted: 7."."""
    numbers = {"taken": seats.taken, "capacity": seats.capacity, "waiting": seats.waiting}
    if seats.capacity is None:
        return _("Enrolled: %(taken)s, no limit.") % numbers
    if seats.waiting:
        return _("Seats taken: %(taken)s of %(capacity)s, waitlisted: %(waiting)s.") % numbers
    return _("Seats taken: %(taken)s of %(capacity)s.") % numbers
