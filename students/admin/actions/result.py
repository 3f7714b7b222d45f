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
from students.admin.actions.preview import ActionPreview, PreviewLine
from students.enrollment.context import SYSTEM_ACTIONS
from students.models import Action, Channel, EnrollmentEvent, Student

SESSION_KEY = "unchanged_enrollments"


class ResultViews(ModelAdmin):
    """Admin mixin with the result page of an action. It is available as long as the journal is kept."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.result_view)
        return [path("acts/<slug:request_id>/", view, name="students_studentcourse_result"), *super().get_urls()]

    def result_view(self, request: HttpRequest, request_id: str) -> HttpResponse:
        """Show the outcomes of a request, the promotions that followed, and a button to undo."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        visible = self.get_queryset(request).values("pk")
        queryset = EnrollmentEvent.objects.filter(
            request_id=request_id, channel__in=[Channel.ADMIN, Channel.SYSTEM], enrollment__in=visible
        ).select_related("actor", "enrollment__student", "enrollment__course__term")
        events = list(queryset.order_by("pk"))
        user_events = [event for event in events if event.action not in SYSTEM_ACTIONS]
        if not events:
            raise Http404
        may_undo = request.user.has_perm("students.change_studentcourse")
        preview = ActionPreview(available_bytes=math.inf)
        preview.add_events((event, event.enrollment) for event in events)
        preview.refused, preview.unchanged, omitted_count = _load_unchanged(request, request_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Done"),
            "opts": self.opts,
            "preview": preview,
            "omitted_count": omitted_count,
            "at": events[0].at,
            "actor": user_events[0].actor if user_events else None,
            "reason": user_events[0].reason if user_events else "",
            "undoable_ids": _undoable_ids(user_events) if may_undo else [],
            "current_url": request.get_full_path(),
            "return_url": return_url_from(request),
        }
        return render(request, "students/action_result.html", context)


def redirect_to_result(request_id: str, return_url: str) -> HttpResponseRedirect:
    """Return a redirect to the result page of a request. The page links back to ``return_url``."""
    url = reverse("admin:students_studentcourse_result", args=[request_id])
    query = QueryDict(mutable=True)
    query["next"] = return_url
    return HttpResponseRedirect(f"{url}?{query.urlencode(safe='/')}")


def return_url_from(request: HttpRequest) -> str:
    """Return the local URL from the parameter ``next``; the list of enrollments if it is missing or not local."""
    next_url = request.POST.get("next") or request.GET.get("next") or ""
    if next_url.startswith("/") and url_has_allowed_host_and_scheme(next_url, allowed_hosts=None):
        return next_url
    return reverse("admin:students_studentcourse_changelist")


def _undoable_ids(user_events: list[EnrollmentEvent]) -> list[int]:
    """Return the ids of the enrollments whose last event is one of these: a later one must not be undone with it."""
    events = EnrollmentEvent.objects.filter(enrollment__in=[event.enrollment_id for event in user_events])
    latest = events.exclude(action__in=SYSTEM_ACTIONS).order_by().values_list("enrollment").annotate(Max("pk"))
    latest_ids = dict(latest)
    undoable = (event for event in user_events if event.action != Action.UNDO)
    return [event.enrollment_id for event in undoable if event.pk == latest_ids[event.enrollment_id]]


def store_unchanged(request: HttpRequest, request_id: str, preview: ActionPreview, omitted_count: int = 0) -> None:
    """
    Store in the session the enrollments that the last action did not change, with the reasons, for the result page.

    The journal has no entries for them. They are stored by id, since a session must not contain names.
    """
    request.session[SESSION_KEY] = {
        "request_id": request_id,
        "refused": [(line.student.pk, line.course.pk, line.before, line.reasons) for line in preview.refused],
        "unchanged": [(line.student.pk, line.course.pk, line.before, line.reasons) for line in preview.unchanged],
        "omitted_count": omitted_count,
    }


def _load_unchanged(request: HttpRequest, request_id: str) -> tuple[list[PreviewLine], list[PreviewLine], int]:
    stored = request.session.get(SESSION_KEY, {})
    if stored.get("request_id") != request_id:
        return [], [], 0
    rows = [*stored["refused"], *stored["unchanged"]]
    students = Student.objects.in_bulk({row[0] for row in rows})
    courses = Course.objects.select_related("term").in_bulk({row[1] for row in rows})
    refused, unchanged = (
        [
            PreviewLine(students[student], courses[course], None, status, status, "", tuple(reasons))
            for student, course, status, reasons in stored[name]
            if student in students and course in courses
        ]
        for name in ("refused", "unchanged")
    )
    return refused, unchanged, stored["omitted_count"]
