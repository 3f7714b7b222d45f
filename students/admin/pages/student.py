"""The admin page of a student: open enrollments by term, ended ones, and the timeline."""

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.models import Course, Term
from school.access.row_scope import Limits, limits_of_staff
from students.admin.dashboard.statistics import current_and_upcoming_terms, current_term
from students.admin.pages.enroll_panel import EnrollBox
from students.admin.tabs import Tab, can_see
from students.models import ENDED, LEFT, Status, Student, StudentCourse

SCHEDULE = "schedule"
PAST = 100  # maximum number of ended enrollments on the page


@dataclass(slots=True)
class Schedule:
    """The open enrollments in the courses of one term, or in courses without a term."""

    term: Term | None
    enrollments: list[StudentCourse] = field(default_factory=list)
    is_running: bool = False
    is_next: bool = False


class StudentPage(EnrollBox):
    side = "student"
    form_title = gettext_lazy("Details")

    def tabs(self, request: HttpRequest, owner: Student) -> list[Tab]:
        return [Tab(SCHEDULE, _("Courses"))]

    def page_of(self, request: HttpRequest, owner: Student) -> dict[str, Any]:
        standing = (
            self.enrollments_of(request, owner)
            .order_by()
            .aggregate(
                enrolled=Count("pk", filter=Q(status=Status.ENROLLED)),
                waiting=Count("pk", filter=Q(status=Status.WAITLISTED)),
                completed=Count("pk", filter=Q(status=Status.COMPLETED)),
                left=Count("pk", filter=Q(status__in=LEFT)),
            )
        )
        page = super().page_of(request, owner)
        return {**page, "header": "students/desk/student_header.html", "standing": standing}

    def content_of(self, request: HttpRequest, owner: Student, tab: str) -> dict[str, Any]:
        enrollments = self.enrollments_of(request, owner)
        past = list(enrollments.filter(status__in=ENDED).order_by("-ended_on", "-pk")[: PAST + 1])
        return {
            "schedules": schedules(list(enrollments.open()), limits_of_staff(request.user)),
            "past": past[:PAST],
            "has_more": len(past) > PAST,
            "can_see_courses": can_see(request, Course),
            **(self.box(request, owner) if owner.erased_at is None else {}),
        }


def schedules(enrollments: list[StudentCourse], limits: Limits | None = None) -> list[Schedule]:
    """
    Return open enrollments grouped by term: the current term first, even if empty, then the others by their start.

    The current term is the same as on the home page: if no term is running, it is the next one. Courses without a term
    come last.
    """
    today = timezone.localdate()
    first = current_term(current_and_upcoming_terms(today, limits), today)
    found = []
    if first and first.ends_on >= today:
        found.append(Schedule(first, is_running=first.starts_on <= today, is_next=first.starts_on > today))
    for term, of_term in groupby(sorted(enrollments, key=_by_term), key=lambda enrollment: enrollment.course.term):
        if found and term == found[0].term:
            found[0].enrollments = list(of_term)
        else:
            found.append(Schedule(term, list(of_term)))
    return found


def _by_term(enrollment: StudentCourse) -> tuple[Any, ...]:
    term = enrollment.course.term
    begins = (term.starts_on.toordinal(), term.pk) if term else (0, 0)
    return (term is None, *begins, enrollment.course.code, enrollment.pk)
