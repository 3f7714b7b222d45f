"""The admin of holds: place one, see all, release several after a preview, and place one on many students."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin

from bulk.admin.list_export import ListExport
from school.admin_site.list_page import badge
from school.admin_site.row_access import RowScopeFilter
from students.admin.actions.action_effects import MAX_ROWS, ActionPreview, PreviewLine, fit_names, too_many_message
from students.admin.actions.result import redirect_to_result
from students.admin.actor import actor_from_request
from students.enrollment import preview_releases
from students.exports import HOLDS
from students.holds import RequestedHold, dates_refusals, place_holds, release_holds
from students.models import Hold, Status, Student, StudentCourse

VALUES = ("code", "reason", "term", "starts_on", "ends_on")


class HoldForm(forms.ModelForm):
    """A hold, or with the fields ``VALUES`` only, the hold to place on several students."""

    def clean_student(self) -> Student:
        student: Student = self.cleaned_data["student"]
        if student.erased_at:
            raise ValidationError(_("The personal data of this student is already erased."), code="already_erased")
        return student

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for refusal in dates_refusals(data.get("starts_on"), data.get("ends_on")):
            self.add_error("ends_on", ValidationError(refusal.message, code=refusal.code))
        if data.get("student") and "code" in data:
            same = Hold.objects.open().filter(student=data["student"], code=data["code"], term=data.get("term"))
            if same.exists():
                self.add_error("code", ValidationError(_("The student has this hold already."), code="unique"))
        return data


def requested_hold(student_id: int, data: dict[str, Any]) -> RequestedHold:
    """Return the hold of a valid form."""
    term = data["term"]
    return RequestedHold(student_id, data["code"], term and term.pk, data["reason"], data["starts_on"], data["ends_on"])


class StateFilter(admin.SimpleListFilter):
    """Filters open holds, the default, or released ones."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", gettext_lazy("open")), ("released", gettext_lazy("released"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.open()
            case "released":
                return queryset.exclude(released_at=None)
        return queryset


class HoldFilter(admin.SimpleListFilter):
    """Filters students with open holds, or without."""

    title = gettext_lazy("on hold")
    parameter_name = "on_hold"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", gettext_lazy("yes")), ("no", gettext_lazy("no"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(has_holds=self.value() == "yes" or None) if self.value() in ("yes", "no") else queryset


@admin.register(Hold)
class HoldAdmin(ListExport, ModelAdmin):
    """Holds are placed and released, never changed or deleted."""

    list_export = HOLDS
    form = HoldForm
    list_display = ["student", "code", "term_code", "starts_on", "ends_on", "state", "placed_at"]
    empty_hint = gettext_lazy("A hold keeps a student from enrolling until it is released.")
    list_filter = [StateFilter, "code", ("term", RowScopeFilter)]
    list_select_related = ["student", "term"]
    ordering = ["-id"]
    search_fields = ["=student__student_number", "student__family_name", "=code"]
    search_help_text = gettext_lazy("A complete student number, a family name or a complete code.")
    show_full_result_count = False
    autocomplete_fields = ["student"]
    actions: Any = ["release"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return ["student", *VALUES]
        placed = ["placed_at", "placed_by", "placed_import"]
        return ["student", *VALUES, *placed, "released_at", "released_by", "released_import"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("student", "term", "placed_by", "released_by")

    def default_filters(self, request: HttpRequest) -> dict[str, Any]:
        return {StateFilter.parameter_name: "open"}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_release_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("students.change_hold"))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        requested = requested_hold(obj.student_id, form.cleaned_data)
        [placement] = place_holds([requested], actor=actor_from_request(request))
        if placement.hold is None:  # since the check of the form, another hold was placed, or the student was erased
            raise PermissionDenied
        obj.pk = placement.hold.pk

    @admin.display(description=gettext_lazy("term"), ordering="term__starts_on")
    def term_code(self, hold: Hold) -> str | None:
        return hold.term.code if hold.term else None

    @admin.display(description=gettext_lazy("state"))
    def state(self, hold: Hold) -> str:
        is_open = hold.released_at is None
        return badge("failed" if is_open else "done", _("open") if is_open else _("released"))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Read the selected ids from one field: a field for each of a thousand rows would be half of the page."""
        if "chosen" in request.POST:
            post: Any = request.POST.copy()
            post.setlist(ACTION_CHECKBOX_NAME, post["chosen"].split(","))
            request.POST = post
        return super().changelist_view(request, *args, **kwargs)

    @admin.action(description=gettext_lazy("Release"), permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Hold]) -> HttpResponse:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MAX_ROWS + 1])
        if len(ids) > MAX_ROWS:
            return too_many(request)
        shown = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        open_ids = list(Hold.objects.open().filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))
        actor = actor_from_request(request)
        if shown and (promoted := release_if_unchanged(open_ids, shown, actor)) is not None:
            message = ngettext("%(n)s hold released.", "%(n)s holds released.", len(open_ids))
            messages.success(request, message % {"n": len(open_ids)})
            if promoted:
                return redirect_to_result(actor.request_id, request.get_full_path())
            return HttpResponseRedirect(request.get_full_path())
        promoted = preview_releases(open_ids, actor)
        holds = list(self.get_queryset(request).filter(pk__in=ids).order_by("pk"))
        changed = [hold for hold in holds if hold.released_at is None]
        unchanged = [hold for hold in holds if hold.released_at is not None]
        lines = [PreviewLine(row.student, row.course, row.pk, Status.WAITLISTED, Status.ENROLLED) for row in promoted]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Release"),
            "opts": self.opts,
            "action": "release",
            "kind": "hold",
            "changed": changed,
            "unchanged": unchanged,
            "fitted": {"changed": fit_names(changed), "unchanged": fit_names(unchanged)},
            "preview": ActionPreview(promoted=lines),
            "fingerprint": fingerprint_of(open_ids, promoted),
            "is_stale": bool(shown),
            "ids": ",".join(map(str, ids)),
            "return_url": request.get_full_path(),
        }
        return render(request, "students/activation_confirm.html", context)


def fingerprint_of(hold_ids: Collection[int], promoted: Collection[StudentCourse]) -> str:
    """Return a hash of the holds to release and of the enrollments that get a seat as a result."""
    digest = [list(hold_ids), [[row.pk, row.version] for row in promoted]]
    return hashlib.sha256(json.dumps(digest).encode()).hexdigest()


def release_if_unchanged(hold_ids: Collection[int], shown: str, actor: Any) -> list[StudentCourse] | None:
    """Release holds, and return the enrollments that got a seat; do nothing and return None if the preview differs."""
    with transaction.atomic():
        promoted = release_holds(hold_ids, actor=actor)
        if fingerprint_of(hold_ids, promoted) != shown:
            transaction.set_rollback(True)
            return None
    return promoted


def too_many(request: HttpRequest) -> HttpResponse:
    messages.error(request, too_many_message())
    return HttpResponseRedirect(request.get_full_path())


class HoldActions(ModelAdmin):
    """Admin mixin of students with the action that places a hold on several of them."""

    actions: Any = ["place_hold"]

    def has_place_hold_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("students.add_hold"))

    @admin.action(description=gettext_lazy("Place a hold"), permissions=["place_hold"])
    def place_hold(self, request: HttpRequest, queryset: QuerySet[Student]) -> HttpResponse:
        students = list(queryset.order_by("pk")[: MAX_ROWS + 1])
        if len(students) > MAX_ROWS:
            return too_many(request)
        desk: Any = self.admin_site.get_model_admin(Hold)
        form_class = desk.get_form(request, fields=VALUES)
        is_confirmed = request.POST.get("step") == "confirm"
        form = form_class(request.POST if is_confirmed else None)
        if is_confirmed and form.is_valid():
            requested = [requested_hold(student.pk, form.cleaned_data) for student in students]
            placements = place_holds(requested, actor=actor_from_request(request))
            placed = sum(placement.created for placement in placements)
            message = ngettext("%(n)s hold placed.", "%(n)s holds placed.", placed)
            messages.success(request, message % {"n": placed})
            for student, placement in zip(students, placements, strict=True):
                for refusal in placement.refusals:
                    messages.warning(request, f"{student}: {refusal.message}")
            return HttpResponseRedirect(request.get_full_path())
        context = {
            **self.admin_site.each_context(request),
            "title": _("Place a hold"),
            "opts": self.opts,
            "form": form,
            "students": students,
            "fitted": fit_names(students),
            "ids": ",".join(str(student.pk) for student in students),
            "return_url": request.get_full_path(),
        }
        return render(request, "students/place_hold.html", context)
