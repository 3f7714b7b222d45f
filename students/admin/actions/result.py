"""The admin page with the result of an action, read from the journal by the request id."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import Resolver404, path, resolve, reverse
from django.utils.formats import number_format
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from courses.models import Course
from students.admin.actions.action_effects import ActionPreview, PreviewLine
from students.admin.tabs import can_view
from students.enrollment.decision_context import SYSTEM_ACTIONS
from students.models import Action, Channel, EnrollmentEvent, Student

SESSION_KEY = "unchanged_enrollments"


class Undone(NamedTuple):
    """A request that undid changes of a result page: ``number`` of them."""

    event: EnrollmentEvent
    number: int


class ResultViews(ModelAdmin):
    """Admin mixin with the result page of an action. It is available as long as the journal is kept."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.result_view)
        return [path("acts/<slug:request_id>/", view, name="students_studentcourse_result"), *super().get_urls()]

    def result_view(self, request: HttpRequest, request_id: str) -> HttpResponse:
        """Show the outcomes of a request, the promotions that followed, when they were undone, and a button for it."""
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
        next_events = _next_events(user_events)
        undone = {pk: event for pk, event in next_events.items() if event.action == Action.UNDO}
        preview.changed = [_mark_undone(line) if line.enrollment_id in undone else line for line in preview.changed]
        preview.refused, preview.unchanged, unmatched_count, duplicate_count = _load_unchanged(request, request_id)
        return_url = (
            return_url_from(request) if "next" in request.GET else _default_return_url(request, preview.changed)
        )
        context = {
            **self.admin_site.each_context(request),
            "title": _result_title(user_events),
            "opts": self.opts,
            "preview": preview,
            "unmatched_count": unmatched_count,
            "duplicate_count": duplicate_count,
            "at": events[0].at,
            "actor": user_events[0].actor if user_events else None,
            "reason": user_events[0].reason if user_events else "",
            "undone": _group_by_request(undone.values()),
            "changed_count": len(user_events),
            "undoable_ids": _undoable_ids(user_events, next_events) if may_undo else [],
            "return_url": return_url,
            "return_title": return_title(return_url, [*preview.changed, *preview.promoted]),
        }
        return render(request, "students/action_result.html", context)


def redirect_to_result(request_id: str, return_url: str = "") -> HttpResponseRedirect:
    """
    Return a redirect to the result page of a request. The page links back to ``return_url``.

    Without it, the page links to the only course or student of the result.
    """
    url = reverse("admin:students_studentcourse_result", args=[request_id])
    if not return_url:
        return HttpResponseRedirect(url)
    query = QueryDict(mutable=True)
    query["next"] = return_url
    return HttpResponseRedirect(f"{url}?{query.urlencode(safe='/')}")


def return_url_from(request: HttpRequest) -> str:
    """Return the local URL from the parameter ``next``; the list of enrollments if it is missing or not local."""
    next_url = request.POST.get("next") or request.GET.get("next") or ""
    if next_url.startswith("/") and url_has_allowed_host_and_scheme(next_url, allowed_hosts=None):
        return next_url
    return reverse("admin:students_studentcourse_changelist")


def return_title(return_url: str, lines: Iterable[PreviewLine]) -> str:
    """Return the label of a link back to a page: it names the course or the student of the page."""
    try:
        match = resolve(urlsplit(return_url).path)
    except Resolver404:
        return _("Back")
    titles = {
        "courses_course_change": _("Back to the course"),
        "courses_course_grades": _("Back to the grades"),
        "students_student_change": _("Back to the student"),
        "students_studentcourse_change": _("Back to the enrollment"),
        "students_studentcourse_changelist": _("Back to the list"),
    }
    pk = match.kwargs.get("object_id")
    for line in lines:
        shown = {"courses_course_change": line.course, "students_student_change": line.student}.get(
            match.url_name or ""
        )
        if shown is not None and str(shown.pk) == pk:
            return _("Back to %(page)s") % {"page": shown}
    return titles.get(match.url_name or "", _("Back"))


def _default_return_url(request: HttpRequest, lines: Iterable[PreviewLine]) -> str:
    """Return the page of the only course or the only student of the lines, else the list of enrollments."""
    lines = list(lines)
    for rows in ({line.course for line in lines}, {line.student for line in lines}):
        if len(rows) == 1 and can_view(request, type(row := rows.pop())):
            return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])
    return return_url_from(request)


def _result_title(user_events: Iterable[EnrollmentEvent]) -> str:
    """Return the numbers of changed enrollments, after the course if all are of one: "PHIL-101@2026F: 3 withdrawn"."""
    user_events = list(user_events)
    labels = (
        event.get_action_display() if event.action == Action.UNDO else event.get_to_status_display()
        for event in user_events
    )
    counts = Counter(labels).items()
    title = ", ".join(f"{number_format(number, force_grouping=True)} {label}" for label, number in counts) or _("Done")
    codes = {event.enrollment.course.full_code for event in user_events}
    return f"{codes.pop()}: {title}" if len(codes) == 1 else title


def _next_events(user_events: Iterable[EnrollmentEvent]) -> dict[int, EnrollmentEvent]:
    """Return, by the id of the enrollment, the event of a user or client that follows these events."""
    last_ids = {event.enrollment_id: event.pk for event in user_events}
    later = EnrollmentEvent.objects.filter(enrollment__in=last_ids, pk__gt=min(last_ids.values(), default=0))
    events = later.exclude(action__in=SYSTEM_ACTIONS).select_related("actor").order_by("-pk")
    return {event.enrollment_id: event for event in events if event.pk > last_ids[event.enrollment_id]}


def _mark_undone(line: PreviewLine) -> PreviewLine:
    return line._replace(detail=", ".join(filter(None, (line.detail, _("undone")))))


def _group_by_request(undone: Iterable[EnrollmentEvent]) -> list[Undone]:
    undone = list(undone)
    counts = Counter(event.request_id for event in undone)
    first = {event.request_id: event for event in reversed(undone)}
    return [Undone(first[request_id], count) for request_id, count in counts.items()]


def _undoable_ids(user_events: Iterable[EnrollmentEvent], next_events: dict[int, EnrollmentEvent]) -> list[int]:
    """Return the ids of the enrollments whose last event is one of these: a later one must not be undone with it."""
    undoable = (event for event in user_events if event.action != Action.UNDO)
    return [event.enrollment_id for event in undoable if event.enrollment_id not in next_events]


def store_unchanged(
    request: HttpRequest,
    request_id: str,
    preview: ActionPreview,
    *,
    unmatched_count: int = 0,
    duplicate_count: int = 0,
) -> None:
    """
    Store in the session the enrollments that the last action did not change, with the reasons, for the result page.

    The counts are those of pasted lines that were not used.
    The journal has no entries for them. They are stored by id, since a session must not contain names.
    """
    request.session[SESSION_KEY] = {
        "request_id": request_id,
        "refused": [(line.student.pk, line.course.pk, line.before, line.reasons) for line in preview.refused],
        "unchanged": [(line.student.pk, line.course.pk, line.before, line.reasons) for line in preview.unchanged],
        "unmatched_count": unmatched_count,
        "duplicate_count": duplicate_count,
    }


def _load_unchanged(request: HttpRequest, request_id: str) -> tuple[list[PreviewLine], list[PreviewLine], int, int]:
    stored = request.session.get(SESSION_KEY, {})
    if stored.get("request_id") != request_id:
        return [], [], 0, 0
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
    return refused, unchanged, stored["unmatched_count"], stored["duplicate_count"]
