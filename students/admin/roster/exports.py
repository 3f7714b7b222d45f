"""
Exports of a course's roster in the admin: CSV, print and email addresses.

The record of access has each export.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _

from courses.models import Course
from school.access.access_log import Subject, record_export
from school.http.csv_response import csv_response
from school.identifiers import parse_ids
from students.admin.as_of import as_of_from_request
from students.admin.roster.queries import ROSTER_STATUSES, roster_rows, with_waitlist_positions
from students.admin.tabs import TabbedPage, can_view
from students.events.as_of import iterate_as_of, with_past_positions
from students.exports import stream_roster_csv
from students.models import Status, Student, StudentCourseQuerySet

MAX_SELECTED = 1_000


class RosterExports(TabbedPage):
    """Admin mixin with exports, for users who may see the course and enrollments. They take ``status`` and ``q``."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        own = [
            path("<id:pk>/roster.csv", view(self.roster_csv), name="courses_course_roster_csv"),
            path("<id:pk>/roster/", view(self.roster_print), name="courses_course_roster"),
            path("<id:pk>/addresses/", view(self.email_addresses), name="courses_course_addresses"),
        ]
        return [*own, *super().get_urls()]

    def can_export_addresses(self, request: HttpRequest) -> bool:
        """Return True if the user may see students: an address belongs to the student, not to the enrollment."""
        return can_view(request, Student)

    def roster_csv(self, request: HttpRequest, pk: int) -> Any:
        """Return the roster as the same CSV file as in the API."""
        course, rows = self._course_and_rows(request, pk)
        try:
            as_of = as_of_from_request(request)
        except ValidationError as error:
            return self._refuse_as_of(request, course, error)
        record_export(request, Subject.ROSTER, course_id=course.pk)
        if as_of is None:
            listed = with_waitlist_positions(course, rows.iterator(chunk_size=2_000))
        else:
            listed = iterate_as_of(
                with_past_positions(rows.with_details()).iterator(chunk_size=2_000), as_of, course.pk
            )
        lines = stream_roster_csv(listed)
        return csv_response(lines, f"roster-{course.pk}.csv", with_bom=True)

    def roster_print(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the roster as a page for printing."""
        course, rows = self._course_and_rows(request, pk)
        try:
            as_of = as_of_from_request(request)
        except ValidationError as error:
            return self._refuse_as_of(request, course, error)
        record_export(request, Subject.ROSTER, course_id=course.pk)
        status = request.GET.get("status", "open")
        context = {
            "course": course,
            "rows": list(_print_rows(rows, as_of, course.pk)),
            "extra_column": {"open": _("Status"), "left": _("Status"), "completed": _("Grade")}.get(status),
            "status": status,
            "now": timezone.now(),
            "as_of": as_of,
        }
        return render(request, "students/pages/roster_print.html", context)

    def email_addresses(self, request: HttpRequest, pk: int) -> HttpResponse:
        """
        Return the email addresses of the chosen enrollments, one per line.

        If none is chosen, these are all enrollments with the status. Students without an address are left out.
        """
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        course, rows = self._course_and_rows(request, pk)
        if not self.can_export_addresses(request):
            raise PermissionDenied
        if selected_ids := request.POST.getlist("chosen")[:MAX_SELECTED]:
            rows = rows.filter(pk__in=[pk for text in selected_ids for pk in parse_ids(text)])
        with transaction.atomic():
            record_export(request, Subject.ROSTER, course_id=course.pk)
            addresses = list(rows.exclude(student__email="").values_list("student__email", flat=True))
        lines = "".join(f"{address}\n" for address in dict.fromkeys(addresses))
        return HttpResponse(lines, content_type="text/plain; charset=utf-8")

    def _refuse_as_of(self, request: HttpRequest, course: Course, error: ValidationError) -> HttpResponse:
        messages.error(request, " ".join(error.messages))
        return HttpResponseRedirect(self.page_url(course))

    def _course_and_rows(self, request: HttpRequest, pk: int) -> tuple[Course, StudentCourseQuerySet]:
        course = self.get_object(request, str(pk))
        if course is None:
            raise Http404
        if not (self.has_view_permission(request, course) and self.enrollment_admin.has_view_permission(request)):
            raise PermissionDenied
        status = request.GET.get("status", "open")
        if status not in ROSTER_STATUSES:
            raise Http404
        return course, roster_rows(course, status, request.GET.get("q", ""))


def _print_rows(rows: StudentCourseQuerySet, as_of: datetime | None, course_id: int) -> Iterator[tuple[str, str, str]]:
    """Yield student number, name, and grade or status, as plain strings: building thousands of objects is slow."""
    columns = ("student__student_number", "student__family_name", "student__given_name", "status", "grade")
    for number, family_name, given_name, status, grade in iterate_as_of(
        rows.values_list(*columns).iterator(), as_of, course_id
    ):
        yield number, ", ".join(filter(None, (family_name, given_name))), grade or str(Status(status).label)
