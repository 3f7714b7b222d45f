"""The admin page that enrolls many students in a course, or a student in many courses, after a preview."""

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from courses.lookup import courses_by_key, parse_course_key
from courses.models import Course
from school.http.form_limits import CORRECTION_PREFIX, size_in_page
from school.identifiers import parse_ids
from school.refusals import Refusal, shorten
from students.admin.actions.action_effects import (
    MAX_BYTES_OF_LINES,
    MAX_ROWS,
    ActionPreview,
    PreviewLine,
    StudentAndCourse,
    too_many_message,
)
from students.admin.actions.bulk_actions import WAIVABLE_TITLES, reason_field
from students.admin.actions.result import redirect_to_result, return_url_from, store_unchanged
from students.admin.actor import actor_from_request
from students.admin.bulk_enroll.parsing import PastedLine, correct, format_keys, has_too_many, parse_keys
from students.admin.search import visible_rows
from students.admin.widgets import AutocompleteMultipleField, IdSelect, IdSelectMultiple
from students.enrollment import execute_if_unchanged, preview_commands
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.lookup import find_students, match_students
from students.models import Action, Student, StudentCourse

# The number of characters of pasted text that the page shows again; a thousand students with names have as much.
MAX_BYTES_OF_TEXT = 34_000
MAX_BYTES_OF_ERRORS = 25_000
MIN_BYTES_OF_PREVIEW = 8_000
MAX_DUPLICATES, MAX_DUPLICATE_KEY = 20, 40  # the number of duplicates shown, and the characters of each
MAX_BYTES = 50_000  # the size of the pasted text, the lines to correct and the preview together

Matches = dict[str, Any]  # a student, a course or a refusal, by key


@dataclass(frozen=True)
class Direction:
    """
    Many students in a course, or many courses for a student.

    ``fixed`` and ``listed`` are the fields of an enrollment of which the form has one row and many rows. The other
    fields are those of the listed rows: ``find_existing`` returns the keys that exist, ``find_matches`` the row or the
    refusal of each key.
    """

    fixed: str
    listed: str
    label: Any
    help_text: Any
    find_existing: Callable[[HttpRequest, Collection[str]], Collection[str]]
    find_matches: Callable[[HttpRequest, Collection[str]], Matches]
    key: Callable[[Any], str]

    def student_and_course(self, fixed: Any, other: Any) -> StudentAndCourse:
        return (fixed, other) if self.fixed == "student" else (other, fixed)


def _students(request: HttpRequest, keys: Collection[str]) -> Matches:
    return match_students(keys, visible_rows(request, Student))


def _existing_students(request: HttpRequest, keys: Collection[str]) -> Collection[str]:
    return find_students(keys, visible_rows(request, Student))


def _courses(request: HttpRequest, keys: Collection[str]) -> Matches:
    matches = courses_by_key(map(parse_course_key, keys), visible_rows(request, Course))
    return {key: matches[parse_course_key(key)] for key in keys}


def _existing_courses(request: HttpRequest, keys: Collection[str]) -> Collection[str]:
    return [key for key, match in _courses(request, keys).items() if not isinstance(match, Refusal)]


DIRECTIONS = {
    "course": Direction(
        "course",
        "student",
        gettext_lazy("Students"),
        gettext_lazy("One per line: a student number, an email address or a name, with or without other text."),
        _existing_students,
        _students,
        lambda student: student.student_number,
    ),
    "student": Direction(
        "student",
        "course",
        gettext_lazy("Courses"),
        gettext_lazy("One per line: CODE, CODE@TERM or CODE@TERM@SECTION, with or without other text."),
        _existing_courses,
        _courses,
        lambda course: course.full_code,
    ),
}


class InputError(NamedTuple):
    """A key that matches no row; ``number`` is the number of its line, from 1."""

    number: int
    key: str
    message: str


class Duplicate(NamedTuple):
    """A key of a row that an earlier line has, too; ``first`` is the number of that line, 0 for a selected row."""

    number: int
    key: str
    first: int


@dataclass
class ParsedInput:
    """The result of looking up pasted keys: the matching rows by ``Direction.key``, and the lines that are not used."""

    rows: dict[str, Any] = field(default_factory=dict)
    errors: list[InputError] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)


class BulkEnrollForm(forms.Form):
    text = forms.CharField(
        label="",  # set below, like the help, for the direction
        max_length=100_000,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"}),
    )
    on_full = forms.ChoiceField(
        label=gettext_lazy("If no seat is free"),
        choices=[(OnFull.REJECT, gettext_lazy("refuse")), (OnFull.WAITLIST, gettext_lazy("waitlist"))],
        initial=OnFull.REJECT,
        widget=UnfoldAdminSelectWidget,
        required=False,
    )
    waive = forms.MultipleChoiceField(
        label=gettext_lazy("Waive"),
        choices=list(WAIVABLE_TITLES.items()),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
        help_text=gettext_lazy("Override these rules for all of these enrollments (a reason is required)."),
    )
    reason = reason_field()

    def __init__(self, request: HttpRequest, direction: Direction, *args: Any, may_waive: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        relation = StudentCourse._meta.get_field
        fixed, listed = (Course, Student) if direction.fixed == "course" else (Student, Course)
        own = {
            "one": forms.ModelChoiceField(
                visible_rows(request, fixed).order_by(),
                label=relation(direction.fixed).verbose_name.capitalize(),  # type: ignore[union-attr]
                widget=IdSelect(relation(direction.fixed), admin.site),
            ),
            "picked": AutocompleteMultipleField(
                visible_rows(request, listed).order_by(),
                label=gettext_lazy("Search and add"),
                widget=IdSelectMultiple(relation(direction.listed), admin.site),
                required=False,
            ),
        }
        self.fields["text"].label, self.fields["text"].help_text = direction.label, direction.help_text
        self.fields = {"one": own["one"], "text": self.fields["text"], "picked": own["picked"], **self.fields}
        if not may_waive:
            del self.fields["waive"]

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if has_too_many(text, MAX_ROWS):
            raise forms.ValidationError(too_many_message())
        return text

    def drop_long_text(self) -> None:
        """If the pasted text is too long to be shown again, remove it and add an error. The browser still has it."""
        if size_in_page(self.data.get("text", "")) > MAX_BYTES_OF_TEXT:
            self.add_error("text", _("The text is too long to show here again. Go back; your browser still has it."))
            data: Any = self.data.copy()  # type: ignore[attr-defined]  # a QueryDict
            data["text"] = ""
            self.data = data

    def command(self, student_and_course: StudentAndCourse) -> EnrollmentCommand:
        cleaned = self.cleaned_data
        on_full = OnFull(cleaned["on_full"] or OnFull.REJECT)
        waive = frozenset(cleaned.get("waive", ()))
        student, course = student_and_course
        return EnrollmentCommand(Action.ENROLL, student.pk, course.pk, None, cleaned["reason"], on_full, waive)


class BulkEnrollViews(ModelAdmin):
    """Admin mixin with the page that enrolls many students or courses."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.enroll_many)
        return [path("enroll-many/", view, name="students_studentcourse_enroll_many"), *super().get_urls()]

    def enroll_many(self, request: HttpRequest) -> HttpResponse:
        """Show the form, then a preview, and enroll if the user confirmed a preview that is still current."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        direction = DIRECTIONS.get(request.POST.get("side") or request.GET.get("side", ""), DIRECTIONS["course"])
        may_waive = actor_from_request(request).may_waive
        if request.method != "POST":
            initial = {"one": next(iter(parse_ids(request.GET.get(direction.fixed, ""))), None)}
            form = BulkEnrollForm(request, direction, initial=initial, may_waive=may_waive)
            return self._enroll_page(request, direction, form)
        form = BulkEnrollForm(request, direction, request.POST, may_waive=may_waive)
        if not form.is_valid():
            form.drop_long_text()
            return self._enroll_page(request, direction, form)
        lines = self._corrected_lines(request, direction, form)
        text = form.cleaned_data["text"]
        count = sum(len(line.keys) for line in lines) + len(form.cleaned_data["picked"])
        if not count or count > MAX_ROWS:
            form.add_error("text", too_many_message() if count else _("Enter at least one."))
            form.drop_long_text()
            return self._enroll_page(request, direction, form)
        if size_in_page(text) > MAX_BYTES_OF_TEXT:  # leave out the text beside the keys
            form.cleaned_data["text"] = text = format_keys(lines)
            lines = [line._replace(number=number) for number, line in enumerate(lines, start=1)]
        if size_in_page(text) > MAX_BYTES_OF_TEXT:
            form.drop_long_text()
            return self._enroll_page(request, direction, form)
        return self._preview_or_execute(request, direction, form, lines)

    def _preview_or_execute(
        self, request: HttpRequest, direction: Direction, form: BulkEnrollForm, lines: list[PastedLine]
    ) -> HttpResponse:
        actor = actor_from_request(request)
        fixed = form.cleaned_data["one"]
        parsed = _match_lines(
            direction, direction.find_matches(request, _keys(lines)), lines, form.cleaned_data["picked"]
        )
        unticked = set(request.POST.get("listed", "").splitlines()) - set(request.POST.getlist("kept"))
        rows = {key: row for key, row in parsed.rows.items() if key not in unticked}
        pairs = {key: direction.student_and_course(fixed, row) for key, row in parsed.rows.items()}
        commands = {key: form.command(pairs[key]) for key in rows}
        expected_fingerprint = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        outcome = (
            execute_if_unchanged(list(commands.values()), actor, expected_fingerprint)
            if expected_fingerprint
            else preview_commands(list(commands.values()), actor)
        )
        errors = _fitting_errors(parsed.errors, MAX_BYTES - size_in_page(form.cleaned_data["text"]))
        action_preview = ActionPreview(available_bytes=_available_bytes(form.cleaned_data["text"], errors))
        by_command = {command.key: key for key, command in commands.items()}
        action_preview.add(outcome, {pair: pairs[key] for pair, key in by_command.items()}, by_command.__getitem__)
        action_preview.left_out = [PreviewLine(*pairs[key], key=key) for key in parsed.rows if key in unticked]
        if outcome.committed and action_preview.changed:
            store_unchanged(
                request,
                actor.request_id,
                action_preview,
                unmatched_count=len(parsed.errors),
                duplicate_count=len(parsed.duplicates),
            )
            return redirect_to_result(actor.request_id, return_url_from(request) if request.POST.get("next") else "")
        initial = {**form.cleaned_data, "one": fixed.pk, "picked": [row.pk for row in form.cleaned_data["picked"]]}
        next_form = BulkEnrollForm(request, direction, initial=initial, may_waive=actor.may_waive)
        return self._enroll_page(
            request,
            direction,
            next_form,
            preview=action_preview,
            input_errors=errors,
            other_lines=_ranges(each.number for each in parsed.errors[len(errors) :]),
            duplicates=[
                each._replace(key=shorten(each.key, MAX_DUPLICATE_KEY)) for each in parsed.duplicates[:MAX_DUPLICATES]
            ],
            duplicate_count=len(parsed.duplicates),
            listed_keys="\n".join(
                line.key for fitted in action_preview.fitted.values() for line in fitted.lines if line.key
            ),
            fingerprint=outcome.fingerprint,
            is_stale=bool(expected_fingerprint) and not outcome.committed,
            button=_button(len(action_preview.changed), len({each.number for each in parsed.errors})),
        )

    def _corrected_lines(self, request: HttpRequest, direction: Direction, form: BulkEnrollForm) -> list[PastedLine]:
        """Return the pasted lines with the corrections applied, and write these into the text of the form."""

        def parse() -> list[PastedLine]:
            find_existing = partial(direction.find_existing, request)
            return parse_keys(form.cleaned_data["text"], find_existing, are_names=direction.listed == "student")

        corrections = {
            name.removeprefix(CORRECTION_PREFIX): request.POST[name]
            for name in request.POST
            if name.startswith(CORRECTION_PREFIX)
        }
        lines = parse()
        corrected = correct(form.cleaned_data["text"], lines, corrections) if corrections else form.cleaned_data["text"]
        if corrected.splitlines() == form.cleaned_data["text"].splitlines():
            return lines
        form.cleaned_data["text"] = corrected
        return parse()

    def _enroll_page(
        self, request: HttpRequest, direction: Direction, form: BulkEnrollForm, **extra: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Enroll many"),
            "opts": self.opts,
            "form": form,
            "direction": direction.fixed,
            "return_url": request.POST.get("next") or request.GET.get("next") or "",
            **extra,
        }
        return render(request, "students/bulk_enroll.html", context)


def _keys(lines: Iterable[PastedLine]) -> set[str]:
    return {key for line in lines for key in line.keys}


def _match_lines(
    direction: Direction, matches: Matches, lines: Iterable[PastedLine], picked: Iterable[Any]
) -> ParsedInput:
    """Separate the matching rows, each once, from the keys that match no row and from duplicates."""
    parsed = ParsedInput(rows={direction.key(row): row for row in picked})
    first_lines = dict.fromkeys(parsed.rows, 0)
    for line in lines:
        rows = {key: matches[key] for key in line.keys if not isinstance(matches[key], Refusal)}
        if not line.is_list and len({row.pk for row in rows.values()}) > 1:
            message = _("%(keys)s are different students.") % {"keys": ", ".join(rows)}
            parsed.errors.append(InputError(line.number, next(iter(rows)), message))
            continue
        for key in line.keys:
            if key not in rows:
                parsed.errors.append(InputError(line.number, key, matches[key].message))
                continue
            own_key = direction.key(rows[key])
            first = first_lines.setdefault(own_key, line.number)
            if own_key not in parsed.rows:
                parsed.rows[own_key] = rows[key]
            elif first != line.number:
                parsed.duplicates.append(Duplicate(line.number, key, first))
    return parsed


def _fitting_errors(errors: Sequence[InputError], available_bytes: int) -> Sequence[InputError]:
    """Return the first errors, as many as fit in the page, which has the key three times."""
    sizes = (260 + 3 * size_in_page(each.key) + size_in_page(each.message) for each in errors)
    limit = min(MAX_BYTES_OF_ERRORS, available_bytes - MIN_BYTES_OF_PREVIEW)
    return errors[: sum(size <= limit for size in itertools.accumulate(sizes))]


def _available_bytes(text: str, errors: Iterable[InputError]) -> int:
    """Return the number of bytes that the page has for the preview."""
    used = size_in_page(text) + sum(260 + 3 * size_in_page(each.key) + size_in_page(each.message) for each in errors)
    return min(MAX_BYTES_OF_LINES, MAX_BYTES - used)


def _ranges(numbers: Iterable[int]) -> str:
    """Return line numbers in short form: ``3, 7–12``."""
    ranges: list[list[int]] = []
    for number in dict.fromkeys(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges)


def _button(count: int, unused_count: int) -> str:
    label = ngettext("Enroll %(n)s", "Enroll %(n)s", count) % {"n": count}
    if not unused_count:
        return label
    left_out = ngettext("leave out %(n)s line", "leave out %(n)s lines", unused_count) % {"n": unused_count}
    return f"{label}, {left_out}"
