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

from courses.lookup import course_key, courses_by_key
from courses.models import Course
from school.http.form_limits import size_in_page
from school.refusals import Refusal
from school.validators import parse_ids, plain_text
from students.admin.actions.confirm import MOST, WAIVABLE, too_many
from students.admin.actions.preview import Consequences, Parties
from students.admin.actions.result import keep_what_stays, to_result, way_back
from students.admin.actor import origin_of
from students.admin.bulk_enroll.parsing import Pasted, has_too_many, read, written
from students.admin.search import seen
from students.admin.widgets import IdSelect, IdSelectMultiple, PickedField
from students.enrollment import foresee, perform_as_foreseen
from students.enrollment.commands import Act, OnFull
from students.lookup import students_not_found
from students.models import Action, Student, StudentCourse

MAX_BYTES_OF_TEXT = 20_000  # of pasted text that the page shows again; a thousand student numbers have some 10,000
MAX_BYTES_OF_PROBLEMS = 10_000

Found = dict[str, Any]  # a student, a course or a refusal, by key


@dataclass(frozen=True)
class Side:
    """The side of which the page has one row, and how the rows of the other side are labeled and found."""

    one: str
    many: str
    model: type[Any]
    label: Any
    find: Callable[[HttpRequest, Collection[str]], Found]
    key: Callable[[Any], str]

    def parties(self, one: Any, other: Any) -> Parties:
        return (one, other) if self.one == "student" else (other, one)


def _students(request: HttpRequest, keys: Collection[str]) -> Found:
    found = seen(request, Student).filter(student_number__in=keys).order_by()
    known = {student.student_number: student for student in found}
    unknown = [key for key in keys if key not in known]
    return {**known, **students_not_found(unknown, seen(request, Student))} if unknown else {**known}


def _courses(request: HttpRequest, keys: Collection[str]) -> Found:
    found = courses_by_key(map(course_key, keys), seen(request, Course))
    return {key: found[course_key(key)] for key in keys}


SIDES = {
    "course": Side(
        "course",
        "student",
        Student,
        gettext_lazy("Students, by student number"),
        _students,
        lambda student: student.student_number,
    ),
    "student": Side(
        "student",
        "course",
        Course,
        gettext_lazy("Courses, as CODE or CODE@TERM"),
        _courses,
        lambda course: course.key,
    ),
}


class Problem(NamedTuple):
    """A line with an unknown or a repeated key. With ``fixed`` True the page has a field to correct the key."""

    pasted: Pasted
    why: str
    fixed: bool


@dataclass
class Lines:
    """The result of looking up pasted keys: the rows found, by key, and the lines that have a problem."""

    found: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class EnrollManyForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("Numbers or codes"),  # replaced below by the label of the side
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
        choices=list(WAIVABLE.items()),
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

    def __init__(self, request: HttpRequest, side: Side, *args: Any, may_waive: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        relation = StudentCourse._meta.get_field
        one, many = (Course, Student) if side.one == "course" else (Student, Course)
        own = {
            "one": forms.ModelChoiceField(
                seen(request, one).order_by(),
                label=relation(side.one).verbose_name.capitalize(),  # type: ignore[union-attr]
                widget=IdSelect(relation(side.one), admin.site),
            ),
            "picked": PickedField(
                seen(request, many).order_by(),
                label=gettext_lazy("Search and add"),
                widget=IdSelectMultiple(relation(side.many), admin.site),
                required=False,
            ),
        }
        self.fields["text"].label = side.label
        self.fields = {"one": own["one"], "text": self.fields["text"], "picked": own["picked"], **self.fields}
        if not may_waive:
            del self.fields["waive"]

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if has_too_many(text, MOST):
            raise forms.ValidationError(too_many())
        return text

    def show_again(self) -> None:
        """If the pasted text is too long to be shown again, remove it and add an error. The browser still has it."""
        if size_in_page(self.data.get("text", "")) > MAX_BYTES_OF_TEXT:
            self.add_error("text", _("The text is too long to show here again. Go back; your browser still has it."))
            sent: Any = self.data.copy()  # type: ignore[attr-defined]  # a QueryDict
            sent["text"] = ""
            self.data = sent

    def act(self, parties: Parties) -> Act:
        wish = self.cleaned_data
        on_full = OnFull(wish["on_full"] or OnFull.REJECT)
        waive = frozenset(wish.get("waive", ()))
        return Act(Action.ENROLL, parties[0].pk, parties[1].pk, None, wish["reason"], on_full, waive)


class EnrollManyPages(ModelAdmin):
    """Admin mixin with the page that enrolls many students or courses."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.enroll_many)
        return [path("enroll-many/", view, name="students_studentcourse_enroll_many"), *super().get_urls()]

    def enroll_many(self, request: HttpRequest) -> HttpResponse:
        """Show the form, then a preview, and enroll if the user confirmed a preview that is still true."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        side = SIDES.get(request.POST.get("side") or request.GET.get("side", ""), SIDES["course"])
        may_waive = origin_of(request).may_waive
        if request.method != "POST":
            start = {"one": next(iter(parse_ids(request.GET.get(side.one, ""))), None)}
            form = EnrollManyForm(request, side, initial=start, may_waive=may_waive)
            return self._enroll_page(request, side, form)
        form = EnrollManyForm(request, side, request.POST, may_waive=may_waive)
        if not form.is_valid():
            form.show_again()
            return self._enroll_page(request, side, form)
        pasted = self._pasted(request, side, form)
        if not pasted or len(pasted) > MOST:
            form.add_error("text", too_many() if pasted else _("Enter at least one."))
            form.show_again()
            return self._enroll_page(request, side, form)
        if size_in_page(written(pasted)) > MAX_BYTES_OF_TEXT:  # without the texts beside the keys, which are not used
            pasted = [Pasted(each.key) for each in pasted]
        if size_in_page(written(pasted)) > MAX_BYTES_OF_TEXT:
            form.show_again()
            return self._enroll_page(request, side, form)
        return self._outcome(request, side, form, pasted)

    def _outcome(self, request: HttpRequest, side: Side, form: EnrollManyForm, pasted: list[Pasted]) -> HttpResponse:
        origin = origin_of(request)
        lines = _lines(side.find(request, {each.key for each in pasted}), pasted)
        parties = [side.parties(form.cleaned_data["one"], other) for other in lines.found.values()]
        acts = [form.act(each) for each in parties]
        shown = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        forecast = perform_as_foreseen(acts, origin, shown) if shown else foresee(acts, origin)
        told = Consequences()
        keys = {act.pair: key for act, key in zip(acts, lines.found, strict=True)}
        told.add(forecast, {act.pair: each for act, each in zip(acts, parties, strict=True)}, keys.__getitem__)
        if forecast.done and told.changed:
            keep_what_stays(request, origin.request_id, told, left_out=len(lines.problems))
            return to_result(origin.request_id, way_back(request))
        again = {**form.cleaned_data, "text": written(pasted), "picked": [], "one": form.cleaned_data["one"].pk}
        asked = EnrollManyForm(request, side, initial=again, may_waive=origin.may_waive)
        return self._enroll_page(
            request,
            side,
            asked,
            told=told,
            problems=_first(lines.problems),
            all_problems=lines.problems,
            listed="\n".join(line.key for part in told.shown.values() for line in part.lines if line.key),
            fingerprint=forecast.fingerprint,
            differs=bool(shown) and not forecast.done,
            button=_button(len(told.changed)),
        )

    def _pasted(self, request: HttpRequest, side: Side, form: EnrollManyForm) -> list[Pasted]:
        """Return the pasted and picked keys, without the lines that were unticked, and with the corrections applied."""

        def known(keys: Collection[str]) -> list[str]:
            return [key for key, found in side.find(request, keys).items() if not isinstance(found, Refusal)]

        taken_out = set(request.POST.get("listed", "").splitlines()) - set(request.POST.getlist("kept"))
        rows = [row for row in read(form.cleaned_data["text"], known) if row.key not in taken_out]
        put_right = {name.removeprefix("fix:"): request.POST[name] for name in request.POST if name.startswith("fix:")}
        fixed = written(row._replace(key=put_right.get(row.key, row.key)) for row in rows)
        picked = [Pasted(side.key(each)) for each in form.cleaned_data["picked"]]
        return [*(read(fixed, known) if put_right else rows), *picked]

    def _enroll_page(self, request: HttpRequest, side: Side, form: EnrollManyForm, **more: Any) -> HttpResponse:
        if more.get("differs"):
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
            "side": side.one,
            "back": way_back(request),
            **more,
        }
        return render(request, "students/enroll_many.html", context)


def _lines(found: Found, pasted: Sequence[Pasted]) -> Lines:
    """Separate the rows that were found, each once, from the lines with an unknown or a repeated key."""
    lines, keys = Lines(), dict[int, str]()
    for row in pasted:
        other = found[row.key]
        if isinstance(other, Refusal):
            lines.problems.append(Problem(row, other.message, fixed=True))
        elif other.pk in keys:
            why = _("Duplicate of %(key)s, counted once.") % {"key": keys[other.pk]}
            lines.problems.append(Problem(row, why, fixed=False))
        else:
            keys[other.pk] = row.key
            lines.found[row.key] = other
    return lines


def _first(problems: Sequence[Problem]) -> Sequence[Problem]:
    """Return the first problems, as many as fit in the page, which has a key that can be corrected four times."""
    sizes = (400 + 4 * size_in_page(each.pasted.key) + size_in_page(each.pasted.beside + each.why) for each in problems)
    return problems[: sum(size <= MAX_BYTES_OF_PROBLEMS for size in itertools.accumulate(sizes))]


def _button(count: int) -> str:
    return ngettext("Enroll %(n)s", "Enroll %(n)s", count) % {"n": count}
