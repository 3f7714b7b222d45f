"""The grade sheet of a course: one grade for each student, in a form or pasted, applied after a preview."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminTextareaWidget

from courses.models import Course
from school.http.form_limits import GRADE_PREFIX, size_in_page
from school.identifiers import parse_ids
from school.refusals import shorten
from school.text_normalization import normalized
from school.validators import plain_text
from students.admin.actions.action_effects import MAX_ROWS, ActionPreview, too_many_message
from students.admin.actions.bulk_actions import COMPLETE, reason_field
from students.admin.actions.full_course_notes import lost_prerequisite_notes
from students.admin.actions.result import redirect_to_result, store_unchanged
from students.admin.actor import actor_from_request
from students.admin.tabs import TabbedPage
from students.enrollment import execute_if_unchanged, preview_commands
from students.enrollment.commands import EnrollmentCommand
from students.exports import ROSTER_HEADER
from students.models import Status, Student, StudentCourse, StudentCourseQuerySet

GRADES = "grades"  # the tab
ROWS_PER_PAGE = 100
# The bytes of the parts of a page that shows what was entered.
MAX_BYTES_OF_TEXT = 12_000
MAX_BYTES_OF_GRADES = 8_000
MAX_BYTES_OF_ROWS = 20_000
MAX_BYTES_OF_ERRORS = 6_000
MAX_BYTES_OF_PREVIEW = 15_000
MAX_LINE = 100  # characters of a line in an error
GRADED_STATUSES = (Status.ENROLLED, Status.COMPLETED)
GRADE = forms.CharField(max_length=32, required=False, validators=[plain_text])


class GradeSheetForm(forms.Form):
    """The fields of the sheet other than the grades of the rows."""

    text = forms.CharField(
        label=gettext_lazy("Paste grades"),
        max_length=100_000,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"}),
        help_text=gettext_lazy("A student number and a grade on each line, as copied from a spreadsheet."),
    )
    reason = reason_field()

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if size_in_page(text) > MAX_BYTES_OF_TEXT:
            raise forms.ValidationError(_("The text is too long. Paste it in several parts."))
        return text


class PastedGrade(NamedTuple):
    """A line of the pasted text. ``number`` is the line number, from 1."""

    number: int
    text: str
    columns: list[str]


class LineError(NamedTuple):
    """A row or a pasted line that cannot be used. ``number`` is the line number, None for a row of the form."""

    number: int | None
    text: str
    message: str


@dataclass
class Grades:
    """The grades to apply: the enrollment and the new grade by the id of the enrollment, and the errors."""

    enrollments: dict[int, StudentCourse] = field(default_factory=dict)
    grades: dict[int, str] = field(default_factory=dict)
    errors: list[LineError] = field(default_factory=list)

    def add(self, enrollment: StudentCourse, text: str, line: tuple[int | None, str]) -> None:
        try:
            grade = GRADE.clean(text)
        except ValidationError as error:
            self.errors.append(LineError(*line, " ".join(error.messages)))
            return
        self.enrollments[enrollment.pk] = enrollment
        self.grades[enrollment.pk] = grade


class GradeSheet(TabbedPage):
    """Admin mixin with the grade sheet of a course, for users who may complete enrollments."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.grade_sheet)
        return [path("<id:pk>/grades/", view, name="courses_course_grades"), *super().get_urls()]

    def can_grade(self, request: HttpRequest) -> bool:
        return bool(self.enrollment_admin.has_complete_permission(request))

    def grade_sheet(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the sheet, then a preview, and complete the enrollments if the user confirmed a current preview."""
        course = self.get_object(request, str(pk))
        if course is None:
            raise Http404
        is_visible = self.has_view_permission(request, course) and self.enrollment_admin.has_view_permission(request)
        if not (is_visible and self.can_grade(request)):
            raise PermissionDenied
        rows = Paginator(graded_rows(course), ROWS_PER_PAGE).get_page(
            request.POST.get("page") or request.GET.get("page")
        )
        if request.method != "POST":
            return self._sheet_page(request, course, rows, GradeSheetForm())
        form = GradeSheetForm(request.POST)
        if not form.is_valid():
            form.data = {
                **request.POST.dict(),
                "text": form.cleaned_data.get("text", ""),
            }  # without a text that is too long
            return self._sheet_page(request, course, rows, form)
        if _size_of_grades(request) > MAX_BYTES_OF_GRADES:
            form.add_error("text", _("The grades are too long."))
            return self._sheet_page(request, course, rows, form)
        grades = _entered_grades(request, course, form.cleaned_data["text"])
        if len(grades.grades) > MAX_ROWS:
            form.add_error("text", too_many_message())
            return self._sheet_page(request, course, rows, form)
        return self._preview_or_execute(request, course, rows, form, grades)

    def _preview_or_execute(
        self, request: HttpRequest, course: Course, rows: Any, form: GradeSheetForm, grades: Grades
    ) -> HttpResponse:
        actor = actor_from_request(request)
        reason = form.cleaned_data["reason"]
        commands = [
            EnrollmentCommand(COMPLETE.action, *grades.enrollments[pk].key, grade=grades.grades[pk], reason=reason)
            for pk in sorted(grades.grades)
        ]
        fingerprint = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        outcome = (
            execute_if_unchanged(commands, actor, fingerprint) if fingerprint else preview_commands(commands, actor)
        )
        preview = ActionPreview(available_bytes=MAX_BYTES_OF_PREVIEW)
        by_key = {row.key: row for row in grades.enrollments.values()}
        preview.add(outcome, {key: (row.student, course) for key, row in by_key.items()}, lambda key: by_key[key].pk)
        self.enrollment_admin.hide_invisible(request, preview)
        if outcome.committed and preview.changed:
            store_unchanged(request, actor.request_id, preview, unmatched_count=len(grades.errors))
            return redirect_to_result(actor.request_id, sheet_url(course))
        return self._sheet_page(
            request,
            course,
            rows,
            form,
            preview=preview,
            notes=lost_prerequisite_notes(outcome),
            errors=_fitting(grades.errors),
            all_errors=grades.errors,
            fingerprint=outcome.fingerprint,
            is_stale=bool(fingerprint) and not outcome.committed,
            button=_button(len(preview.changed)),
        )

    def _sheet_page(
        self, request: HttpRequest, course: Course, rows: Any, form: GradeSheetForm, **extra: Any
    ) -> HttpResponse:
        entered: Any = request.POST if _size_of_grades(request) <= MAX_BYTES_OF_GRADES else {}
        sheet = [(row, entered.get(f"{GRADE_PREFIX}{row.pk}", row.grade)) for row in rows]
        sizes = itertools.accumulate(400 + size_in_page(f"{row.student}{grade}") for row, grade in sheet)
        fitting = len(sheet) if request.method != "POST" else sum(size <= MAX_BYTES_OF_ROWS for size in sizes)
        context = {
            **self.admin_site.each_context(request),
            **self.header_context(request, course),
            "title": _("Grades"),
            "opts": self.opts,
            "original": course,  # for the breadcrumbs
            "obj": course,
            "tabs": self.all_tabs(request, course),
            "tab": GRADES,
            "page_url": self.page_url(course),
            "status": "",
            "search": "",
            "form": form,
            "media": form.media,
            "rows": rows,
            "sheet": sheet[:fitting],
            "hidden_rows": [(row.pk, grade) for row, grade in sheet[fitting:]],
            "sheet_url": sheet_url(course),
            **extra,
        }
        return render(request, "students/pages/grade_sheet.html", context)


def graded_rows(course: Course) -> StudentCourseQuerySet:
    """Return the enrollments that have or can get a grade: the latest of each student, ordered by name."""
    rows = StudentCourse.objects.filter(course=course, status__in=GRADED_STATUSES).latest_per_student_and_course()
    names = ("student__family_name", "student__given_name", "student__student_number")
    return rows.select_related("student", "course__term").order_by(*names)


def sheet_url(course: Course) -> str:
    return reverse("admin:courses_course_grades", args=[course.pk])


def _entered_grades(request: HttpRequest, course: Course, text: str) -> Grades:
    """
    Return the pasted grades, and those of the form that differ from the stored ones.

    The form has priority: a grade that was pasted can be corrected there.
    """
    grades = Grades()
    enrollments = StudentCourse.objects.filter(course=course).latest_per_student_and_course()
    enrollments = enrollments.select_related("student", "course__term").order_by()
    _add_pasted(grades, enrollments, _parse(text))
    entered = {pk: str(value) for name, value in request.POST.items() for pk in _ids_in(name)}
    for row in enrollments.filter(pk__in=entered, status__in=GRADED_STATUSES):
        if entered[row.pk].strip() != row.grade:
            grades.add(row, entered[row.pk], (None, str(row.student)))
    grades.errors.sort(key=lambda error: error.number or 0)
    return grades


def _size_of_grades(request: HttpRequest) -> int:
    return sum(size_in_page(str(value)) for name, value in request.POST.items() if name.startswith(GRADE_PREFIX))


def _ids_in(name: str) -> Sequence[int]:
    return parse_ids(name.removeprefix(GRADE_PREFIX)) if name.startswith(GRADE_PREFIX) else ()


def _parse(text: str) -> list[PastedGrade]:
    """
    Return the lines that are not empty, in columns, without lines of column names.

    The columns are separated by tabs; in a line without tabs, by commas or semicolons, or else by the first blank.
    """
    lines = []
    column_names = _column_names()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            columns = [normalized(each) for each in re.split(r"\t" if "\t" in line else r"[,;]", line)]
            columns = columns if len(columns) > 1 else [normalized(each) for each in columns[0].split(maxsplit=1)]
            if not column_names.issuperset(map(_column_name, columns)):
                lines.append(PastedGrade(number, shorten(line.strip(), MAX_LINE), columns))
    return lines


def _column_names() -> set[str]:
    """Return the column names of exports and pages, and empty text: a line of these is a header."""
    fields = [each for model in (Student, Course, StudentCourse) for each in model._meta.fields]
    names = {*ROSTER_HEADER, *(each.name for each in fields), *(str(each.verbose_name) for each in fields)}
    return {_column_name(each) for each in (*names, _("Number"), _("Name"), "")}


def _column_name(text: str) -> str:
    return text.casefold().replace("_", " ")


def _is_grade(text: str, student: Student) -> bool:
    """
    Return False for an empty text, a number, a status or words of the student's name, which are not a grade.

    A single letter is a grade.
    """
    statuses = {each.casefold() for status in Status for each in (status.value, str(status.label))}
    name = f"{student.given_name} {student.family_name}".casefold()
    words = re.split(r"[\s,]+", text.casefold())
    is_name = len(text) > 1 and set(words) <= {"", *re.split(r"[\s,]+", name)}
    return text not in ("", student.student_number) and text.casefold() not in statuses and not is_name


def _add_pasted(grades: Grades, enrollments: StudentCourseQuerySet, lines: Iterable[PastedGrade]) -> None:
    """Add the grades of pasted lines: the first column that is a number of the course, and the last column."""
    lines = list(lines)[: MAX_ROWS * 2]
    numbers = {column for line in lines for column in line.columns[:5]}
    by_number = {row.student.student_number: row for row in enrollments.filter(student__student_number__in=numbers)}
    seen: dict[int, int] = {}
    for line in lines:
        known = [column for column in line.columns[:5] if column in by_number]
        if not known:
            grades.errors.append(LineError(line.number, line.text, _("No student of this course has this number.")))
        elif not _is_grade(line.columns[-1], by_number[known[0]].student):
            grades.errors.append(LineError(line.number, line.text, _("The line has no grade.")))
        elif (pk := by_number[known[0]].pk) in seen:
            message = _("Duplicate of line %(line)s.") % {"line": seen[pk]}
            grades.errors.append(LineError(line.number, line.text, message))
        else:
            seen[pk] = line.number
            grades.add(by_number[known[0]], line.columns[-1], (line.number, line.text))


def _fitting(errors: Sequence[LineError]) -> Sequence[LineError]:
    sizes = itertools.accumulate(200 + size_in_page(each.text + each.message) for each in errors)
    return errors[: sum(size <= MAX_BYTES_OF_ERRORS for size in sizes)]


def _button(count: int) -> str:
    return ngettext("Apply %(n)s grade", "Apply %(n)s grades", count) % {"n": count}
