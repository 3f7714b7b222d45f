"""The admin page that enrolls many students in a course, or a student in many courses, after a preview."""

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
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
    UnfoldAdminTextInputWidget,
)

from courses.lookup import courses_by_key, parse_course_key
from courses.models import Course
from school.http.form_limits import size_in_page
from school.refusals import Refusal
from school.validators import parse_ids, plain_text
from students.admin.actions.confirm import MAX_ENROLLMENTS, WAIVABLE_TITLES, too_many_message
from students.admin.actions.preview import ActionPreview, StudentAndCourse
from students.admin.actions.result import redirect_to_result, return_url_from, store_unchanged
from students.admin.actor import actor_from_request
from students.admin.bulk_enroll.parsing import PastedKey, format_keys, has_too_many, parse_keys
from students.admin.search import visible_rows
from students.admin.widgets import AutocompleteMultipleField, IdSelect, IdSelectMultiple
from students.enrollment import execute_if_unchanged, preview_commands
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.lookup import students_not_found
from students.models import Action, Student, StudentCourse

# The number of characters of pasted text that the page shows again; a thousand student numbers have some 10,000.
MAX_BYTES_OF_TEXT = 20_000
MAX_BYTES_OF_ERRORS = 10_000

Matches = dict[str, Any]  # a student, a course or a refusal, by key


@dataclass(frozen=True)
class Direction:
    """
    Many students in a course, or many courses for a student.

    ``fixed`` and ``listed`` are the fields of an enrollment of which the form has one row and many rows. ``model``,
    ``label``, ``find_matches`` and ``key`` are those of the listed rows.
    """

    fixed: str
    listed: str
    model: type[Any]
    label: Any
    find_matches: Callable[[HttpRequest, Collection[str]], Matches]
    key: Callable[[Any], str]

    def student_and_course(self, fixed: Any, other: Any) -> StudentAndCourse:
        return (fixed, other) if self.fixed == "student" else (other, fixed)


def _students(request: HttpRequest, keys: Collection[str]) -> Matches:
    students = visible_rows(request, Student).filter(student_number__in=keys).order_by()
    matches = {student.student_number: student for student in students}
    unknown = [key for key in keys if key not in matches]
    return {**matches, **students_not_found(unknown, visible_rows(request, Student))} if unknown else {**matches}


def _courses(request: HttpRequest, keys: Collection[str]) -> Matches:
    matches = courses_by_key(map(parse_course_key, keys), visible_rows(request, Course))
    return {key: matches[parse_course_key(key)] for key in keys}


DIRECTIONS = {
    "course": Direction(
        "course",
        "student",
        Student,
        gettext_lazy("Students, by student number"),
        _students,
        lambda student: student.student_number,
    ),
    "student": Direction(
        "student",
        "course",
        Course,
        gettext_lazy("Courses, as CODE or CODE@TERM"),
        _courses,
        lambda course: course.full_code,
    ),
}


class InputError(NamedTuple):
    """A line with an unknown or a repeated key. With ``is_fixable`` True the page has a field to correct the key."""

    pasted: PastedKey
    message: str
    is_fixable: bool


@dataclass
class ParsedInput:
    """The result of looking up pasted keys: the matching rows, by key, and the lines that have an error."""

    rows: dict[str, Any] = field(default_factory=dict)
    errors: list[InputError] = field(default_factory=list)


class BulkEnrollForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("Numbers or codes"),  # ``__init__`` replaces this label
        max_length=100_000,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "One per line, or separated by commas, semicolons or tabs, for example pasted from a spreadsheet. "
            "Other text in a line, for example a name, is ignored."
        ),
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
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=1000,
        widget=UnfoldAdminTextInputWidget,
        required=False,
        validators=[plain_text],
        help_text=gettext_lazy("Stored in the journal."),
    )

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
        self.fields["text"].label = direction.label
        self.fields = {"one": own["one"], "text": self.fields["text"], "picked": own["picked"], **self.fields}
        if not may_waive:
            del self.fields["waive"]

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if has_too_many(text, MAX_ENROLLMENTS):
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
        pasted_keys = self._pasted_keys(request, direction, form)
        if not pasted_keys or len(pasted_keys) > MAX_ENROLLMENTS:
            form.add_error("text", too_many_message() if pasted_keys else _("Enter at least one."))
            form.drop_long_text()
            return self._enroll_page(request, direction, form)
        if size_in_page(format_keys(pasted_keys)) > MAX_BYTES_OF_TEXT:  # leave out the unused trailing texts
            pasted_keys = [PastedKey(each.key) for each in pasted_keys]
        if size_in_page(format_keys(pasted_keys)) > MAX_BYTES_OF_TEXT:
            form.drop_long_text()
            return self._enroll_page(request, direction, form)
        return self._preview_or_execute(request, direction, form, pasted_keys)

    def _preview_or_execute(
        self, request: HttpRequest, direction: Direction, form: BulkEnrollForm, pasted_keys: list[PastedKey]
    ) -> HttpResponse:
        actor = actor_from_request(request)
        fixed = form.cleaned_data["one"]
        parsed = _match_keys(direction.find_matches(request, {each.key for each in pasted_keys}), pasted_keys)
        pairs = [direction.student_and_course(fixed, row) for row in parsed.rows.values()]
        commands = [form.command(pair) for pair in pairs]
        expected_fingerprint = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        outcome = (
            execute_if_unchanged(commands, actor, expected_fingerprint)
            if expected_fingerprint
            else preview_commands(commands, actor)
        )
        action_preview = ActionPreview()
        keys = {command.key: key for command, key in zip(commands, parsed.rows, strict=True)}
        by_command = {command.key: pair for command, pair in zip(commands, pairs, strict=True)}
        action_preview.add(outcome, by_command, keys.__getitem__)
        if outcome.committed and action_preview.changed:
            store_unchanged(request, actor.request_id, action_preview, omitted_count=len(parsed.errors))
            return redirect_to_result(actor.request_id, return_url_from(request))
        initial = {**form.cleaned_data, "text": format_keys(pasted_keys), "picked": [], "one": fixed.pk}
        next_form = BulkEnrollForm(request, direction, initial=initial, may_waive=actor.may_waive)
        return self._enroll_page(
            request,
            direction,
            next_form,
            preview=action_preview,
            input_errors=_fitting_errors(parsed.errors),
            all_input_errors=parsed.errors,
            listed_keys="\n".join(
                line.key for fitted in action_preview.fitted.values() for line in fitted.lines if line.key
            ),
            fingerprint=outcome.fingerprint,
            is_stale=bool(expected_fingerprint) and not outcome.committed,
            button=_button(len(action_preview.changed)),
        )

    def _pasted_keys(self, request: HttpRequest, direction: Direction, form: BulkEnrollForm) -> list[PastedKey]:
        """Return the pasted and picked keys, without the lines that were unticked, and with the corrections applied."""

        def find_existing(keys: Collection[str]) -> list[str]:
            matches = direction.find_matches(request, keys)
            return [key for key, match in matches.items() if not isinstance(match, Refusal)]

        unticked = set(request.POST.get("listed", "").splitlines()) - set(request.POST.getlist("kept"))
        rows = [row for row in parse_keys(form.cleaned_data["text"], find_existing) if row.key not in unticked]
        corrections = {
            name.removeprefix("fix:"): request.POST[name] for name in request.POST if name.startswith("fix:")
        }
        corrected = format_keys(row._replace(key=corrections.get(row.key, row.key)) for row in rows)
        picked_keys = [PastedKey(direction.key(each)) for each in form.cleaned_data["picked"]]
        return [*(parse_keys(corrected, find_existing) if corrections else rows), *picked_keys]

    def _enroll_page(
        self, request: HttpRequest, direction: Direction, form: BulkEnrollForm, **extra: Any
    ) -> HttpResponse:
        if extra.get("is_stale"):
            messages.warning(
                request,
                _(
                    "Nothing was changed, because the result would now differ from the preview. Check the new preview "
                    "and confirm it."
                ),
            )
        context = {
            **self.admin_site.each_context(request),
            "title": _("Enroll many"),
            "opts": self.opts,
            "form": form,
            "direction": direction.fixed,
            "return_url": return_url_from(request),
            **extra,
        }
        return render(request, "students/bulk_enroll.html", context)


def _match_keys(matches: Matches, pasted_keys: Sequence[PastedKey]) -> ParsedInput:
    """Separate the matching rows, each once, from the lines with an unknown or a repeated key."""
    parsed, keys = ParsedInput(), dict[int, str]()
    for pasted in pasted_keys:
        match = matches[pasted.key]
        if isinstance(match, Refusal):
            parsed.errors.append(InputError(pasted, match.message, is_fixable=True))
        elif match.pk in keys:
            message = _("Duplicate of %(key)s, counted once.") % {"key": keys[match.pk]}
            parsed.errors.append(InputError(pasted, message, is_fixable=False))
        else:
            keys[match.pk] = pasted.key
            parsed.rows[pasted.key] = match
    return parsed


def _fitting_errors(errors: Sequence[InputError]) -> Sequence[InputError]:
    """Return the first errors, as many as fit in the page. The page contains a key that can be corrected four times."""
    sizes = (
        400 + 4 * size_in_page(each.pasted.key) + size_in_page(each.pasted.trailing_text + each.message)
        for each in errors
    )
    return errors[: sum(size <= MAX_BYTES_OF_ERRORS for size in itertools.accumulate(sizes))]


def _button(count: int) -> str:
    return ngettext("Enroll %(n)s", "Enroll %(n)s", count) % {"n": count}
