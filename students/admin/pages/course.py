"""The admin page of a course: roster, waitlist, timeline and settings."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.models import Course
from school.http.search_limits import truncate_search
from students.admin.pages.enroll_panel import EnrollBox
from students.admin.pages.seat_bar import seat_bar
from students.admin.roster.exports import RosterOut
from students.admin.roster.queries import STATUSES, roster_rows, with_places
from students.admin.tabs import Tab, can_see
from students.models import Status, Student, StudentCourse
from students.seats import get_seats

ROSTER, WAITLIST = "roster", "waitlist"
ROWS = 100  # on a page

# The filters of the roster. Waitlisted students are on another tab.
NARROWED = {
    "enrolled": gettext_lazy("Enrolled"),
    "completed": gettext_lazy("Completed"),
    "left": gettext_lazy("Dropped or withdrawn"),
}


class CoursePage(EnrollBox, RosterOut):
    side = "course"
    form_title = gettext_lazy("Settings")

    def tabs(self, request: HttpRequest, owner: Course) -> list[Tab]:
        seats = get_seats(owner)
        return [Tab(ROSTER, _("Roster"), seats.taken), Tab(WAITLIST, _("Waitlist"), seats.waiting)]

    def page_of(self, request: HttpRequest, owner: Course) -> dict[str, Any]:
        now = timezone.now()
        return {
            **super().page_of(request, owner),
            "header": "students/desk/course_header.html",
            "bar": seat_bar(get_seats(owner)),
            "opens_later": not owner.has_opened(now),
            "has_closed": owner.has_closed(now),
        }

    def content_of(self, request: HttpRequest, owner: Course, tab: str) -> dict[str, Any]:
        content = {
            **self.box(request, owner),
            "status": Status.WAITLISTED.value,
            "words": truncate_search(request.GET.get("q", "")),
            "can_see_students": can_see(request, Student),
            "can": self._can(request, tab),
        }
        if tab == ROSTER:
            by_status = {name: Count("pk", filter=Q(status__in=STATUSES[name])) for name in NARROWED}
            counts = StudentCourse.objects.filter(course=owner).aggregate(**by_status)
            content["narrowed"] = [(name, title, counts[name]) for name, title in NARROWED.items()]
            content["status"] = self._status(request, counts)
        found = roster_rows(owner, content["status"], content["words"])
        rows = Paginator(found, ROWS).get_page(request.GET.get("page"))
        rows.object_list = list(with_places(owner, rows.object_list))
        return {**content, "rows": rows}

    def _can(self, request: HttpRequest, tab: str) -> dict[str, bool]:
        """Return the actions that the user may use on chosen enrollments; empty if there are none."""
        can = {
            "complete": tab == ROSTER and self.desk.has_complete_permission(request),
            "end": self.desk.has_end_permission(request),
            "move_up": tab == WAITLIST and self.desk.has_move_up_permission(request),
            "take_addresses": self.can_take_addresses(request),
        }
        return {name: True for name, is_so in can.items() if is_so}

    def _status(self, request: HttpRequest, counts: dict[str, int]) -> str:
        """
        Return the status filter from the request; by default ``enrolled``.

        The default is ``completed`` if the course has completed enrollments and no enrolled students.
        """
        asked = request.GET.get("status", "")
        if asked in NARROWED:
            return asked
        return "completed" if counts["completed"] and not counts["enrolled"] else "enrolled"
