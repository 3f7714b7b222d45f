"""The admin page of a course: roster, waitlist, timeline and settings."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.lookup import has_key
from courses.models import Course
from courses.prerequisite_items import describe
from school.http.search_limits import truncate_search
from students.admin.actions.bulk_actions import add_row_actions
from students.admin.pages.cancellation import CancellationPages
from students.admin.pages.enroll_panel import EnrollPanel
from students.admin.pages.grade_sheet import GRADES, GradeSheet, sheet_url
from students.admin.pages.seat_bar import seat_bar
from students.admin.roster.exports import RosterExports
from students.admin.roster.queries import ROSTER_STATUSES, roster_rows, with_waitlist_positions
from students.admin.tabs import Tab, can_view
from students.models import Status, Student, StudentCourse
from students.seats import get_seats

ROSTER, WAITLIST = "roster", "waitlist"
ROWS_PER_PAGE = 100

# The filters of the roster. Waitlisted students are on another tab.
ROSTER_FILTERS = {
    "enrolled": gettext_lazy("Enrolled"),
    "completed": gettext_lazy("Completed"),
    "left": gettext_lazy("Dropped or withdrawn"),
}


class CoursePage(EnrollPanel, GradeSheet, CancellationPages, RosterExports):
    enrollment_field = "course"
    form_title = gettext_lazy("Settings")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Order the suggestions of a form field: courses in which students can enroll come first."""
        courses, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        if "@" in search_term:
            courses = queryset.filter(has_key(search_term))
        if request.resolver_match and request.resolver_match.url_name == "autocomplete":
            courses = in_order_of_use(courses)
        return courses, may_have_duplicates

    def tabs(self, request: HttpRequest, obj: Course) -> list[Tab]:
        seats = get_seats(obj)
        grades = [Tab(GRADES, _("Grades"), url=sheet_url(obj))] if self.can_grade(request) else []
        return [Tab(ROSTER, _("Roster"), seats.taken), Tab(WAITLIST, _("Waitlist"), seats.waiting), *grades]

    def header_context(self, request: HttpRequest, obj: Course) -> dict[str, Any]:
        now = timezone.now()
        return {
            "header_template": "students/pages/course_header.html",
            "seat_bar": seat_bar(get_seats(obj)),
            "prerequisites": ", ".join(map(describe, obj.prerequisites)),
            "opens_later": not obj.has_opened(now),
            "has_closed": obj.has_closed(now),
        }

    def tab_context(self, request: HttpRequest, obj: Course, tab: str) -> dict[str, Any]:
        context = {
            **self.panel_context(request, obj),
            "status": Status.WAITLISTED.value,
            "search": truncate_search(request.GET.get("q", "")),
            "can_view_students": can_view(request, Student),
            "allowed_actions": self._allowed_actions(request, tab),
        }
        if tab == ROSTER:
            by_status = {name: Count("pk", filter=Q(status__in=ROSTER_STATUSES[name])) for name in ROSTER_FILTERS}
            counts = StudentCourse.objects.filter(course=obj).aggregate(**by_status)
            context["filters"] = [(name, title, counts[name]) for name, title in ROSTER_FILTERS.items()]
            context["status"] = self._status(request, counts)
        enrollments = roster_rows(obj, context["status"], context["search"])
        rows = Paginator(enrollments, ROWS_PER_PAGE).get_page(request.GET.get("page"))
        rows.object_list = list(with_waitlist_positions(obj, rows.object_list))
        permitted = self.enrollment_admin.permitted_actions(request) - {"undo"}
        add_row_actions(rows.object_list, permitted, request.get_full_path())
        return {**context, "rows": rows}

    def _allowed_actions(self, request: HttpRequest, tab: str) -> dict[str, bool]:
        """Return the actions that the user may use on selected enrollments; empty if there are none."""
        permissions = {
            "complete": tab == ROSTER and self.enrollment_admin.has_complete_permission(request),
            "drop": self.enrollment_admin.has_drop_permission(request),
            "promote": tab == WAITLIST and self.enrollment_admin.has_promote_permission(request),
            "export_addresses": self.can_export_addresses(request),
        }
        return {name: True for name, is_allowed in permissions.items() if is_allowed}

    def _status(self, request: HttpRequest, counts: dict[str, int]) -> str:
        """
        Return the status filter from the request; by default ``enrolled``.

        The default is ``completed`` if the course has completed enrollments and no enrolled students.
        """
        requested = request.GET.get("status", "")
        if requested in ROSTER_FILTERS:
            return requested
        return "completed" if counts["completed"] and not counts["enrolled"] else "enrolled"


def in_order_of_use(courses: QuerySet[Course]) -> QuerySet[Course]:
    """
    Order courses for a choice: those of the running term, then of the coming terms, then the closed ones.

    A course is closed if it is not active, or if its term or its time of enrollment has ended.
    """
    has_ended = Q(term__ends_on__lt=timezone.localdate()) | Q(enrollment_closes_at__lte=timezone.now())
    is_closed = Case(When(Q(is_active=False) | has_ended, then=Value(1)), default=Value(0))
    start_of_open = Case(When(is_closed=0, then=F("term__starts_on")))
    return courses.annotate(is_closed=is_closed).order_by(
        "is_closed", start_of_open.asc(nulls_last=True), F("term__starts_on").desc(nulls_last=True), "code", "pk"
    )
