"""The bulk actions on enrollments in the admin, with their pages for preview, confirmation and result."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from school.identifiers import parse_ids
from school.validators import plain_text
from students.admin.actions.action_effects import MAX_ROWS, ActionPreview, PreviewLine, too_many_message
from students.admin.actions.full_course_notes import full_course_notes, lost_corequisite_notes, lost_prerequisite_notes
from students.admin.actions.result import (
    ResultViews,
    redirect_to_result,
    return_title,
    return_url_from,
    store_unchanged,
)
from students.admin.actor import actor_from_request
from students.enrollment import execute_if_unchanged, preview_commands
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.rules import ALL_RULES
from students.enrollment.transitions import COURSE_FULL, is_allowed
from students.models import Action, Status, StudentCourse

WAIVABLE_TITLES = {rule.code: rule.title for rule in ALL_RULES if rule.waivable}


@dataclass(frozen=True)
class BulkAction:
    """
    An action on many enrollments, with its texts and the form fields that it needs.

    ``fields`` has the names of the form fields, ``waivable`` the codes of the rules that the user may waive, and
    ``waive`` the codes that are always waived. ``order`` is the sort key of the enrollments: a drop takes waitlisted
    students first, before a seat becomes free for them, and an undo starts with the latest enrollment.
    """

    action: Action
    title: Any
    button: Any  # the label, to be formatted with ``% {"n": n}``
    fields: tuple[str, ...]
    waivable: tuple[str, ...] = ()
    waive: frozenset[str] = frozenset()
    is_destructive: bool = False
    order: Callable[[StudentCourse], Any] = field(default=lambda row: row.pk)

    def is_possible(self, status: str) -> bool:
        """Return True if the action makes sense for an enrollment with this status, so that a page offers it."""
        return status == Status.WAITLISTED if self is PROMOTE else is_allowed(self.action, status)


DROP = BulkAction(
    Action.DROP,
    gettext_lazy("Drop"),
    ngettext_lazy("Drop %(n)s enrollment", "Drop %(n)s enrollments", "n"),
    ("reason",),
    is_destructive=True,
    order=lambda row: (row.status != Status.WAITLISTED, row.pk),
)
COMPLETE = BulkAction(
    Action.COMPLETE,
    gettext_lazy("Complete"),
    ngettext_lazy("Complete %(n)s enrollment", "Complete %(n)s enrollments", "n"),
    ("grade", "reason"),
)
UNDO = BulkAction(
    Action.UNDO,
    gettext_lazy("Undo last change"),
    ngettext_lazy("Undo last change of %(n)s enrollment", "Undo last change of %(n)s enrollments", "n"),
    ("reason", "waive"),
    waivable=(COURSE_FULL,),
    order=lambda row: -row.pk,
)
PROMOTE = BulkAction(
    Action.ENROLL,
    gettext_lazy("Give a seat now"),
    ngettext_lazy("Give a seat to %(n)s student", "Give a seat to %(n)s students", "n"),
    ("reason", "waive"),
    waivable=tuple(code for code in WAIVABLE_TITLES if code != COURSE_FULL),
    waive=frozenset([COURSE_FULL]),
    order=lambda row: (row.waitlisted_at, row.pk),
)
BULK_ACTIONS = {"drop": DROP, "complete": COMPLETE, "undo": UNDO, "promote": PROMOTE}


class RowAction(NamedTuple):
    """A link in the row of an enrollment to the preview of an action."""

    title: str
    url: str
    is_destructive: bool


def add_row_actions(enrollments: Iterable[StudentCourse], names: Collection[str], next_url: str) -> None:
    """
    Set ``row_actions`` of enrollments: the actions among ``names`` that are possible, which return to ``next_url``.
    """
    for enrollment in enrollments:
        actions = _row_actions(enrollment, names, next_url)
        enrollment.row_actions = actions  # type: ignore[attr-defined]  # set for this page only


def _row_actions(enrollment: StudentCourse, names: Collection[str], next_url: str) -> list[RowAction]:
    return [
        RowAction(
            _("Correct the grade") if bulk_action is COMPLETE and not enrollment.is_open else str(bulk_action.title),
            action_url(name, enrollment.pk, next_url),
            bulk_action.is_destructive,
        )
        for name, bulk_action in sorted(BULK_ACTIONS.items(), key=lambda each: each[1].is_destructive)
        if name in names and bulk_action.is_possible(enrollment.status)
    ]


def action_url(name: str, pk: int, next_url: str) -> str:
    """Return the URL of the preview of an action on one enrollment. The page returns to ``next_url``."""
    query = QueryDict(mutable=True)
    query.update({"action": name, "chosen": str(pk), "next": next_url})
    return f"{reverse('admin:students_studentcourse_bulk_action')}?{query.urlencode(safe='/')}"


def reason_field() -> forms.CharField:
    """Return the field for the reason of an action on many enrollments."""
    return forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=1000,
        required=False,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Stored in the journal."),
    )


class BulkActionForm(forms.Form):
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
    reason = reason_field()

    def __init__(self, data: Any, bulk_action: BulkAction, *, may_waive: bool) -> None:
        super().__init__(data)
        choices: Any = self.fields["waive"]
        choices.choices = [(code, WAIVABLE_TITLES[code]) for code in bulk_action.waivable]
        if not may_waive:
            del self.fields["waive"]
        for name in self.fields.keys() - set(bulk_action.fields):
            del self.fields[name]

    def commands(self, bulk_action: BulkAction, rows: Iterable[StudentCourse]) -> list[EnrollmentCommand]:
        cleaned = self.cleaned_data
        waive = bulk_action.waive | frozenset(cleaned.get("waive", ()))
        # A student that gets a seat must still be waitlisted: otherwise the command would create a new enrollment.
        return [
            EnrollmentCommand(
                bulk_action.action,
                *row.key,
                grade=cleaned.get("grade") or None,
                reason=cleaned["reason"],
                waived_codes=waive,
                if_version=(row.pk, row.version) if bulk_action is PROMOTE else None,
            )
            for row in sorted(rows, key=bulk_action.order)
        ]


class BulkActionViews(ResultViews, ModelAdmin):
    """Admin mixin with the preview and confirmation page of actions on selected enrollments."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("act/", view(self.bulk_action_view), name="students_studentcourse_bulk_action"),
            *super().get_urls(),
        ]

    def has_bulk_action_permission(self, request: HttpRequest, bulk_action: BulkAction) -> bool:
        """Return True if the user may use this action. The queryset of the admin limits the enrollments."""
        if bulk_action is PROMOTE:
            return self.has_add_permission(request) and request.user.has_perm("students.waive_rules")
        if bulk_action is COMPLETE and request.user.has_perm("students.complete_enrollments"):
            return True
        return request.user.has_perm("students.change_studentcourse")

    def permitted_actions(self, request: HttpRequest) -> frozenset[str]:
        """Return the names of the actions that the user may use."""
        return frozenset(name for name, each in BULK_ACTIONS.items() if self.has_bulk_action_permission(request, each))

    def bulk_action_view(self, request: HttpRequest) -> HttpResponse:
        """
        Process a form with an ``action`` and ``chosen`` enrollments. The page then returns to ``next``.

        A GET request with the same parameters only shows the preview.
        """
        parameters = request.POST if request.method == "POST" else request.GET
        if not self.has_view_permission(request):
            raise PermissionDenied
        bulk_action = BULK_ACTIONS.get(parameters.get("action", ""))
        if bulk_action is None:
            messages.info(request, _("Select enrollments and an action."))
            return HttpResponseRedirect(return_url_from(request))
        id_texts = ",".join(parameters.getlist("chosen")).split(",")  # one field may have many ids
        ids = [pk for text in id_texts for pk in parse_ids(text)]
        return self.preview_or_execute(request, bulk_action, list(dict.fromkeys(ids)), return_url_from(request))

    def preview_or_execute(
        self, request: HttpRequest, bulk_action: BulkAction, ids: Sequence[int], return_url: str
    ) -> HttpResponse:
        """Show a preview of the action, or execute it if the user confirmed a preview that is still current."""
        if not self.has_bulk_action_permission(request, bulk_action):
            raise PermissionDenied
        if not ids:
            messages.warning(request, _("Select enrollments first."))
            return HttpResponseRedirect(return_url)
        if len(ids) > MAX_ROWS:
            messages.error(request, too_many_message())
            return HttpResponseRedirect(return_url)
        actor = actor_from_request(request)
        form = BulkActionForm(request.POST, bulk_action, may_waive=actor.may_waive)
        selected = self._selected(request, ids)
        action_preview, fingerprint, is_stale = ActionPreview(), "", False
        notes: list[str] = []
        if form.is_valid():
            applicable = [row for row in selected if not self._skip_reason(bulk_action, row)]
            commands = form.commands(bulk_action, applicable)
            expected_fingerprint = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
            outcome = (
                execute_if_unchanged(commands, actor, expected_fingerprint)
                if expected_fingerprint
                else preview_commands(commands, actor)
            )
            keys = {row.key: row.pk for row in applicable}
            action_preview.add(outcome, {row.key: (row.student, row.course) for row in applicable}, keys.__getitem__)
            self.hide_invisible(request, action_preview)
            applicable_ids = set(keys.values())
            skipped = [row for row in selected if row.pk not in applicable_ids]
            action_preview.unchanged += [self._skipped_line(bulk_action, row) for row in skipped]
            if outcome.committed and action_preview.changed:
                store_unchanged(request, actor.request_id, action_preview)
                return redirect_to_result(actor.request_id, return_url)
            fingerprint, is_stale = outcome.fingerprint, bool(expected_fingerprint) and not outcome.committed
            waiver = WAIVABLE_TITLES[COURSE_FULL] if actor.may_waive else None
            notes = full_course_notes(outcome, applicable, self.get_queryset(request), waiver)
            notes += [*lost_prerequisite_notes(outcome), *lost_corequisite_notes(outcome, self.get_queryset(request))]
        context = {
            **self.admin_site.each_context(request),
            "title": bulk_action.title,
            "opts": self.opts,
            "form": form,
            "action": next(name for name, each in BULK_ACTIONS.items() if each is bulk_action),
            "preview": action_preview,
            "notes": notes,
            "fingerprint": fingerprint,
            "is_stale": is_stale,
            "button": bulk_action.button % {"n": len(action_preview.changed)},
            "is_destructive": bulk_action.is_destructive,
            "return_url": return_url,
            "return_title": return_title(return_url, [*action_preview.changed, *action_preview.refused]),
            "selected_ids": ",".join(str(row.pk) for row in selected) if form.errors else "",
            "not_found": _not_found_message(len(ids) - len(selected)),
        }
        return render(request, "students/action_confirm.html", context)

    def _selected(self, request: HttpRequest, ids: Sequence[int]) -> list[StudentCourse]:
        """
        Return the enrollments with these ids that the user may see.

        Each has ``is_latest``: True if it is the latest of its student and course.
        """
        visible = self.get_queryset(request).filter(pk__in=ids).values("pk")
        rows = StudentCourse.objects.filter(pk__in=visible).select_related("student", "course__term").order_by("pk")
        latest = set(
            StudentCourse.objects.filter(pk__in=ids)
            .latest_per_student_and_course()
            .order_by()
            .values_list("pk", flat=True)
        )
        for row in rows:
            row.is_latest = row.pk in latest  # type: ignore[attr-defined]  # set for this page only
        return list(rows)

    def hide_invisible(self, request: HttpRequest, action_preview: ActionPreview) -> None:
        """Remove the promotions and the skipped enrollments that the user may not see."""
        side_effect_ids = [line.enrollment_id for line in (*action_preview.promoted, *action_preview.skipped)]
        if side_effect_ids:
            visible = set(self.get_queryset(request).filter(pk__in=side_effect_ids).values_list("pk", flat=True))
            action_preview.promoted = [line for line in action_preview.promoted if line.enrollment_id in visible]
            action_preview.skipped = [line for line in action_preview.skipped if line.enrollment_id in visible]

    def _skip_reason(self, bulk_action: BulkAction, row: Any) -> str:
        """Return the reason why the action does not apply to an enrollment; empty if it applies."""
        if not row.is_latest:  # actions apply to the latest enrollment of a student in a course
            return _("The student has a newer enrollment in this course.")
        if bulk_action is PROMOTE and row.status != Status.WAITLISTED:
            return _("Not waitlisted.")
        return ""

    def _skipped_line(self, bulk_action: BulkAction, row: StudentCourse) -> PreviewLine:
        reasons = (self._skip_reason(bulk_action, row),)
        return PreviewLine(row.student, row.course, row.pk, row.status, row.status, "", reasons, row.pk)


def _not_found_message(count: int) -> str:
    if not count:
        return ""
    message = ngettext(
        "%(n)s of the selected enrollments was not found.", "%(n)s of the selected enrollments were not found.", count
    )
    return message % {"n": count}
