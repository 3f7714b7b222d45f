"""Admin pages for an action on many enrollments: preview, confirmation and result."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from school.validators import parse_ids, plain_text
from students.admin.actions.preview import Consequences, Line
from students.admin.actions.result import ResultPages, keep_what_stays, to_result, way_back
from students.admin.actor import origin_of
from students.enrollment import foresee, perform_as_foreseen
from students.enrollment.commands import Act
from students.enrollment.rules import ALL_RULES
from students.enrollment.transitions import COURSE_FULL
from students.models import Action, Status, StudentCourse

MOST = 1_000  # enrollments at a time
WAIVABLE = {rule.code: rule.title for rule in ALL_RULES if rule.waivable}


@dataclass(frozen=True)
class Way:
    """
    An action on many enrollments, with its texts and the form fields that it needs.

    ``asks`` has the names of the form fields, ``waivable`` the codes of the rules that the user may waive, and
    ``waive`` the codes that are always waived. ``order`` is the sort key of the enrollments: a drop takes waitlisted
    students first, before a seat becomes free for them, and an undo starts with the latest enrollment.
    """

    action: Action
    title: Any
    button: Any  # the label, to be formatted with ``% {"n": n}``
    asks: tuple[str, ...]
    waivable: tuple[str, ...] = ()
    waive: frozenset[str] = frozenset()
    order: Callable[[StudentCourse], Any] = field(default=lambda row: row.pk)


DROP = Way(
    Action.DROP,
    gettext_lazy("Drop"),
    ngettext_lazy("Drop %(n)s enrollment", "Drop %(n)s enrollments", "n"),
    ("reason",),
    order=lambda row: (row.status != Status.WAITLISTED, row.pk),
)
COMPLETE = Way(
    Action.COMPLETE,
    gettext_lazy("Complete"),
    ngettext_lazy("Complete %(n)s enrollment", "Complete %(n)s enrollments", "n"),
    ("grade", "reason"),
)
UNDO = Way(
    Action.UNDO,
    gettext_lazy("Undo last change"),
    ngettext_lazy("Undo last change of %(n)s enrollment", "Undo last change of %(n)s enrollments", "n"),
    ("reason", "waive"),
    waivable=(COURSE_FULL,),
    order=lambda row: -row.pk,
)
MOVE_UP = Way(
    Action.ENROLL,
    gettext_lazy("Give a seat now"),
    ngettext_lazy("Give a seat to %(n)s student", "Give a seat to %(n)s students", "n"),
    ("reason", "waive"),
    waivable=tuple(code for code in WAIVABLE if code != COURSE_FULL),
    waive=frozenset([COURSE_FULL]),
    order=lambda row: (row.waitlisted_at, row.pk),
)
WAYS = {"drop": DROP, "complete": COMPLETE, "undo": UNDO, "promote": MOVE_UP}


class ActForm(forms.Form):
    """The options of an action on many enrollments, which apply to all of them."""

    grade = forms.CharField(
        label=gettext_lazy("Grade"),
        max_length=32,
        required=False,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("The grade for all selected enrollments. Empty: grades are not changed."),
    )
    waive = forms.MultipleChoiceField(
        label=gettext_lazy("Waive"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("Override these rules (a reason is required)."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=1000,
        required=False,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Stored in the journal."),
    )

    def __init__(self, sent: Any, way: Way, *, may_waive: bool) -> None:
        super().__init__(sent)
        choices: Any = self.fields["waive"]
        choices.choices = [(code, WAIVABLE[code]) for code in way.waivable]
        if not may_waive:
            del self.fields["waive"]
        for name in self.fields.keys() - set(way.asks):
            del self.fields[name]

    def acts(self, way: Way, rows: Iterable[StudentCourse]) -> list[Act]:
        wish = self.cleaned_data
        waive = way.waive | frozenset(wish.get("waive", ()))
        # A student that gets a seat must still be waitlisted: otherwise the act would be a new enrollment.
        return [
            Act(
                way.action,
                *row.pair,
                grade=wish.get("grade") or None,
                reason=wish["reason"],
                waive=waive,
                expected=(row.pk, row.version) if way is MOVE_UP else None,
            )
            for row in sorted(rows, key=way.order)
        ]


class ActPages(ResultPages, ModelAdmin):
    """Admin mixin with the preview and confirmation page of actions on chosen enrollments."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [path("act/", view(self.act), name="students_studentcourse_act"), *super().get_urls()]

    def may_act(self, request: HttpRequest, way: Way) -> bool:
        """Return True if the user may use this action. The list of enrollments limits which ones."""
        if way is MOVE_UP:
            return self.has_add_permission(request) and request.user.has_perm("students.waive_rules")
        if way is COMPLETE and request.user.has_perm("students.complete_enrollments"):
            return True
        return request.user.has_perm("students.change_studentcourse")

    def act(self, request: HttpRequest) -> HttpResponse:
        """Process a form with an ``action`` and ``chosen`` enrollments. The page then returns to ``next``."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        way = WAYS.get(request.POST.get("action", ""))
        if way is None:
            messages.info(request, _("Select enrollments and an action."))
            return HttpResponseRedirect(way_back(request))
        texts = ",".join(request.POST.getlist("chosen")).split(",")  # one field may have many ids
        ids = [pk for text in texts for pk in parse_ids(text)]
        return self.consequences(request, way, list(dict.fromkeys(ids)), way_back(request))

    def consequences(self, request: HttpRequest, way: Way, ids: Sequence[int], back: str) -> HttpResponse:
        """Show a preview of the action, or perform it if the user confirmed a preview that is still true."""
        if not self.may_act(request, way):
            raise PermissionDenied
        if not ids:
            messages.warning(request, _("Select enrollments first."))
            return HttpResponseRedirect(back)
        if len(ids) > MOST:
            messages.error(request, too_many())
            return HttpResponseRedirect(back)
        origin = origin_of(request)
        form = ActForm(request.POST, way, may_waive=origin.may_waive)
        chosen = self._chosen(request, ids)
        told, fingerprint, differs = Consequences(), "", False
        if form.is_valid():
            to_act = [row for row in chosen if not self._left_alone(way, row)]
            acts = form.acts(way, to_act)
            shown = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
            forecast = perform_as_foreseen(acts, origin, shown) if shown else foresee(acts, origin)
            keys = {row.pair: row.pk for row in to_act}
            told.add(forecast, {row.pair: (row.student, row.course) for row in to_act}, keys.__getitem__)
            self._keep_to_seen(request, told)
            acted_on = set(keys.values())
            told.same += [self._untouched(way, row) for row in chosen if row.pk not in acted_on]
            if forecast.done and told.changed:
                keep_what_stays(request, origin.request_id, told)
                return to_result(origin.request_id, back)
            fingerprint, differs = forecast.fingerprint, bool(shown) and not forecast.done
        context = {
            **self.admin_site.each_context(request),
            "title": way.title,
            "opts": self.opts,
            "form": form,
            "action": next(name for name, each in WAYS.items() if each is way),
            "told": told,
            "fingerprint": fingerprint,
            "differs": differs,
            "button": way.button % {"n": len(told.changed)},
            "back": back,
            "chosen": ",".join(str(row.pk) for row in chosen) if form.errors else "",
            "not_found": _not_found(len(ids) - len(chosen)),
        }
        return render(request, "students/act.html", context)

    def _chosen(self, request: HttpRequest, ids: Sequence[int]) -> list[StudentCourse]:
        """
        Return the enrollments with these ids that the user may see.

        Each has ``is_newest``: True if it is the latest of its student and course.
        """
        seen = self.get_queryset(request).filter(pk__in=ids).values("pk")
        rows = StudentCourse.objects.filter(pk__in=seen).select_related("student", "course__term").order_by("pk")
        newest = set(StudentCourse.objects.filter(pk__in=ids).newest().order_by().values_list("pk", flat=True))
        for row in rows:
            row.is_newest = row.pk in newest  # type: ignore[attr-defined]  # set for this page only
        return list(rows)

    def _keep_to_seen(self, request: HttpRequest, told: Consequences) -> None:
        """Remove the promotions and passes of enrollments that the user may not see."""
        follows = [line.enrollment_id for line in (*told.promoted, *told.passed)]
        if follows:
            seen = set(self.get_queryset(request).filter(pk__in=follows).values_list("pk", flat=True))
            told.promoted = [line for line in told.promoted if line.enrollment_id in seen]
            told.passed = [line for line in told.passed if line.enrollment_id in seen]

    def _left_alone(self, way: Way, row: Any) -> str:
        """Return why the action does not apply to an enrollment; empty if it does."""
        if not row.is_newest:  # actions apply to the latest enrollment of a student in a course
            return _("The student has a newer enrollment in this course.")
        if way is MOVE_UP and row.status != Status.WAITLISTED:
            return _("Not waitlisted.")
        return ""

    def _untouched(self, way: Way, row: StudentCourse) -> Line:
        why = (self._left_alone(way, row),)
        return Line(row.student, row.course, row.pk, row.status, row.status, "", why, row.pk)


def too_many() -> str:
    return _("At most %(most)s objects can be deleted at a time. Select fewer.") % {"most": MOST}


def _not_found(count: int) -> str:
    if not count:
        return ""
    message = ngettext(
        "%(n)s of the selected enrollments was not found.", "%(n)s of the selected enrollments were not found.", count
    )
    return message % {"n": count}
