"""The admin page with the result of an action, read from the journal by the request id."""

import math
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from courses.models import Course
from students.admin.actions.preview import Consequences, Line
from students.enrollment.context import SYSTEM_ACTIONS
from students.models import Action, Channel, EnrollmentEvent, Student

KEPT = "stayed"  # the session key


class ResultPages(ModelAdmin):
    """Admin mixin with the result page of an action. It is available as long as the journal is kept."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.acted)
        return [path("acts/<slug:request_id>/", view, name="students_studentcourse_acted"), *super().get_urls()]

    def acted(self, request: HttpRequest, request_id: str) -> HttpResponse:
        """Show the outcomes of a request, the promotions that followed, and a button to undo."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        seen = self.get_queryset(request).values("pk")
        events = EnrollmentEvent.objects.filter(
            request_id=request_id, channel__in=[Channel.ADMIN, Channel.SYSTEM], enrollment__in=seen
        ).select_related("actor", "enrollment__student", "enrollment__course__term")
        lines = list(events.order_by("pk"))
        own = [event for event in lines if event.action not in SYSTEM_ACTIONS]
        if not lines:
            raise Http404
        told = Consequences(room=math.inf)
        told.add_events((event, event.enrollment) for event in lines)
        told.refused, told.same, left_out = _what_stayed(request, request_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Done"),
            "opts": self.opts,
            "told": told,
            "left_out": left_out,
            "at": lines[0].at,
            "actor": own[0].actor if own else None,
            "reason": own[0].reason if own else "",
            "to_undo": _to_undo(own) if request.user.has_perm("students.change_studentcourse") else [],
            "here": request.get_full_path(),
            "back": way_back(request),
        }
        return render(request, "students/acted.html", context)


def to_result(request_id: str, back: str) -> HttpResponseRedirect:
    """Return a redirect to the result page of a request. The page links back to ``back``."""
    address = reverse("admin:students_studentcourse_acted", args=[request_id])
    query = QueryDict(mutable=True)
    query["next"] = back
    return HttpResponseRedirect(f"{address}?{query.urlencode(safe='/')}")


def way_back(request: HttpRequest) -> str:
    """Return the local path from the parameter ``next``; the list of enrollments if it is missing or not local."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return reverse("admin:students_studentcourse_changelist")


def _to_undo(own: list[EnrollmentEvent]) -> list[int]:
    """Return the ids of the enrollments whose last act is one of these: a later act must not be undone with it."""
    newest = EnrollmentEvent.objects.filter(enrollment__in=[event.enrollment_id for event in own])
    last = newest.exclude(action__in=SYSTEM_ACTIONS).order_by().values_list("enrollment").annotate(Max("pk"))
    ends = dict(last)
    to_undo = (event for event in own if event.action != Action.UNDO)
    return [event.enrollment_id for event in to_undo if event.pk == ends[event.enrollment_id]]


def keep_what_stays(request: HttpRequest, request_id: str, told: Consequences, left_out: int = 0) -> None:
    """
    Store in the session the enrollments that the last action did not change, with the reasons, for the result page.

    The journal has no entries for them. They are stored by id, since a session must not contain names.
    """
    request.session[KEPT] = {
        "request_id": request_id,
        "refused": [(line.student.pk, line.course.pk, line.before, line.why) for line in told.refused],
        "same": [(line.student.pk, line.course.pk, line.before, line.why) for line in told.same],
        "left_out": left_out,
    }


def _what_stayed(request: HttpRequest, request_id: str) -> tuple[list[Line], list[Line], int]:
    kept = request.session.get(KEPT, {})
    if kept.get("request_id") != request_id:
        return [], [], 0
    rows = [*kept["refused"], *kept["same"]]
    students = Student.objects.in_bulk({row[0] for row in rows})
    courses = Course.objects.select_related("term").in_bulk({row[1] for row in rows})
    refused, same = (
        [
            Line(students[student], courses[course], None, status, status, "", tuple(why))
            for student, course, status, why in kept[name]
            if student in students and course in courses
        ]
        for name in ("refused", "same")
    )
    return refused, same, kept["left_out"]
