"""The admin page of a student: open enrollments by term, ended ones, and the timeline."""

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.meetings import DAYS
from courses.models import Course, Term
from school.access.row_scope import RowScope, row_scope_of_staff
from students.admin.actions.bulk_actions import add_row_actions
from students.admin.dashboard.statistics import current_and_upcoming_terms, current_term
from students.admin.pages.enroll_panel import EnrollPanel
from students.admin.tabs import Tab, can_view
from students.models import ENDED_STATUSES, LEFT_STATUSES, Hold, Status, Student, StudentCourse

SCHEDULE = "schedule"
MAX_PAST = 100  # maximum number of ended enrollments on the page


@dataclass(slots=True)
class TermSchedule:
    """The open enrollments in the courses of one term, or in courses without a term."""

    term: Term | None
    enrollments: list[StudentCourse] = field(default_factory=list)
    is_current: bool = False
    is_next: bool = False

    @property
    def week(self) -> list[tuple[Any, list[tuple[dict[str, Any], Course]]]]:
        """The days on which enrolled courses meet: the name of each, and its meetings with their courses."""
        courses = [row.course for row in self.enrollments if row.status == Status.ENROLLED]
        meetings: list[tuple[dict[str, Any], Course]] = [
            (meeting, course) for course in courses for meeting in course.meetings
        ]
        rows = sorted(meetings, key=lambda pair: (DAYS.index(pair[0]["day"]), pair[0]["from"], pair[1].pk))
        by_day = groupby(rows, key=lambda pair: pair[0]["day"])
        return [(WEEKDAYS[DAYS.index(day)], list(of_day)) for day, of_day in by_day]


class StudentPage(EnrollPanel):
    enrollment_field = "student"
    form_title = gettext_lazy("Details")

    def tabs(self, request: HttpRequest, obj: Student) -> list[Tab]:
        return [Tab(SCHEDULE, _("Courses"))]

    def header_context(self, request: HttpRequest, obj: Student) -> dict[str, Any]:
        status_counts = (
            self.enrollments_of(request, obj)
            .order_by()
            .aggregate(
                enrolled=Count("pk", filter=Q(status=Status.ENROLLED)),
                waiting=Count("pk", filter=Q(status=Status.WAITLISTED)),
                completed=Count("pk", filter=Q(status=Status.COMPLETED)),
                left=Count("pk", filter=Q(status__in=LEFT_STATUSES)),
            )
        )
        may_see_holds = obj.has_holds and request.user.has_perm("students.view_hold")
        return {
            "header_template": "students/pages/student_header.html",
            "status_counts": status_counts,
            "holds": Hold.objects.open().filter(student=obj).select_related("term") if may_see_holds else (),
        }

    def tab_context(self, request: HttpRequest, obj: Student, tab: str) -> dict[str, Any]:
        enrollments = self.enrollments_of(request, obj)
        past_enrollments = list(
            enrollments.filter(status__in=ENDED_STATUSES).order_by("-ended_on", "-pk")[: MAX_PAST + 1]
        )
        open_enrollments = list(enrollments.open().select_related("instead_of__term"))
        permitted = self.enrollment_admin.permitted_actions(request) - {"undo"}
        add_row_actions(open_enrollments, permitted, request.get_full_path())
        return {
            "by_term": by_term(open_enrollments, row_scope_of_staff(request.user)),
            "has_row_actions": bool(permitted),
            "past_enrollments": past_enrollments[:MAX_PAST],
            "has_more_past": len(past_enrollments) > MAX_PAST,
            "can_view_courses": can_view(request, Course),
            **(self.panel_context(request, obj) if obj.erased_at is None else {}),
        }


def by_term(enrollments: list[StudentCourse], row_scope: RowScope | None = None) -> list[TermSchedule]:
    """
    Return open enrollments grouped by term: the current term first, even if empty, then the others by their start.

    The current term is the same as on the home page: if no term is running, it is the next one. Courses without a term
    come last.
    """
    today = timezone.localdate()
    current = current_term(current_and_upcoming_terms(today, row_scope), today)
    schedules = []
    if current and current.ends_on >= today:
        is_current = current.starts_on <= today
        schedules.append(TermSchedule(current, is_current=is_current, is_next=not is_current))
    rows = sorted(enrollments, key=_sort_key)
    for term, term_enrollments in groupby(rows, key=lambda enrollment: enrollment.course.term):
        if schedules and term == schedules[0].term:
            schedules[0].enrollments = list(term_enrollments)
        else:
            schedules.append(TermSchedule(term, list(term_enrollments)))
    return schedules


def _sort_key(enrollment: StudentCourse) -> tuple[Any, ...]:
    term = enrollment.course.term
    start = (term.starts_on.toordinal(), term.pk) if term else (0, 0)
    return (term is None, *start, enrollment.course.code, enrollment.pk)
