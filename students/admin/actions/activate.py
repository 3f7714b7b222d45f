"""Admin actions that make many students or courses active or inactive, with a preview of the promotions."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from simple_history.utils import bulk_update_with_history
from unfold.admin import ModelAdmin

from courses.models import Course
from students.admin.actions.action_effects import MAX_ROWS, ActionPreview, PreviewLine, fit_names, too_many_message
from students.admin.actions.result import redirect_to_result
from students.admin.actor import actor_from_request
from students.enrollment import lock_to_deactivate, lock_waitlisted_courses, preview_promotions, promote
from students.models import Status, Student, StudentCourse


@dataclass(frozen=True)
class ActivationPreview:
    """
    The rows that change, the rows that do not, and the enrollments that get a seat as a result.

    ``committed`` is True if the changes were saved, False if this is a preview.
    """

    changed: list[Any]
    unchanged: list[Any]
    promoted: list[StudentCourse]
    committed: bool

    @property
    def fingerprint(self) -> str:
        digest = [[row.pk for row in self.changed], [[row.pk, row.version] for row in self.promoted]]
        return hashlib.sha256(json.dumps(digest).encode()).hexdigest()


class ActivationActions(ModelAdmin):
    """Admin mixin with the actions to activate and deactivate rows, and their confirmation page."""

    actions: Any = ["activate", "deactivate"]

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Read the selected ids from one field: a field for each of a thousand rows would be half of the page."""
        if "chosen" in request.POST:
            post: Any = request.POST.copy()
            post.setlist(ACTION_CHECKBOX_NAME, post["chosen"].split(","))
            request.POST = post
        return super().changelist_view(request, *args, **kwargs)

    @admin.action(description=gettext_lazy("Make active"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._activation_page(request, queryset, active=True)

    @admin.action(description=gettext_lazy("Make inactive"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._activation_page(request, queryset, active=False)

    def _activation_page(self, request: HttpRequest, queryset: QuerySet[Any], *, active: bool) -> HttpResponse:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MAX_ROWS + 1])
        if len(ids) > MAX_ROWS:
            messages.error(request, too_many_message())
            return HttpResponseRedirect(request.get_full_path())
        expected_fingerprint = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        build_preview = self._apply_or_rollback if expected_fingerprint else self._preview
        preview = build_preview(request, ids, active=active, expected_fingerprint=expected_fingerprint)
        if preview.committed and preview.changed:
            return self._success_response(request, preview, active=active)
        promotions = ActionPreview(promoted=[_promotion_line(row) for row in preview.promoted])
        context = {
            **self.admin_site.each_context(request),
            "title": _("Make active") if active else _("Make inactive"),
            "opts": self.opts,
            "action": "activate" if active else "deactivate",
            "active": active,
            "kind": self.opts.model_name,
            "changed": preview.changed,
            "unchanged": preview.unchanged,
            "fitted": {"changed": fit_names(preview.changed), "unchanged": fit_names(preview.unchanged)},
            "preview": promotions,
            "seat_counts": self._seat_counts(preview.changed),
            "fingerprint": preview.fingerprint,
            "is_stale": bool(expected_fingerprint) and not preview.committed,
            "ids": ",".join(map(str, ids)),
            "return_url": request.get_full_path(),
        }
        return render(request, "students/activation_confirm.html", context)

    def _rows(self, ids: Sequence[int]) -> QuerySet[Any]:
        related = ["term"] if self.model is Course else []
        return self.model._default_manager.filter(pk__in=ids).select_related(*related).order_by("pk")

    def _preview(
        self, request: HttpRequest, ids: Sequence[int], *, active: bool, expected_fingerprint: str
    ) -> ActivationPreview:
        """Return a preview of the change, without a lock."""
        rows = list(self._rows(ids))
        changed, unchanged = _set_active(rows, active=active)
        promoted = preview_promotions(rows, actor_from_request(request))
        return ActivationPreview(changed, unchanged, promoted, committed=False)

    def _apply_or_rollback(
        self, request: HttpRequest, ids: Sequence[int], *, active: bool, expected_fingerprint: str
    ) -> ActivationPreview:
        """Save the change, and roll it back if it differs from the preview that the user confirmed."""
        with transaction.atomic():
            # Courses are always locked before students.
            locked_course_ids = lock_waitlisted_courses(ids) if self.model is Student else ids
            rows = list(self._rows(ids).select_for_update(of=("self",), no_key=True))
            changed, unchanged = _set_active(rows, active=active)
            if self.model is Student and not active:
                lock_to_deactivate(row.pk for row in changed)
            if changed:
                bulk_update_with_history(changed, self.model, ["is_active"], default_user=request.user)
            promoted = promote(locked_course_ids, actor=actor_from_request(request))
            preview = ActivationPreview(changed, unchanged, promoted, committed=True)
            if preview.fingerprint != expected_fingerprint:
                transaction.set_rollback(True)
                return ActivationPreview(preview.changed, preview.unchanged, promoted, committed=False)
        return preview

    def _seat_counts(self, changed: list[Any]) -> dict[str, int]:
        """Count the enrolled and the waitlisted enrollments of the rows."""
        enrollments = StudentCourse.objects.filter(**{f"{self.opts.model_name}__in": [row.pk for row in changed]})
        return enrollments.order_by().aggregate(
            taken=Count("pk", filter=Q(status=Status.ENROLLED)), waiting=Count("pk", filter=Q(status=Status.WAITLISTED))
        )

    def _success_response(self, request: HttpRequest, preview: ActivationPreview, *, active: bool) -> HttpResponse:
        n = len(preview.changed)
        message = ngettext("%(n)s made active.", "%(n)s made active.", n)
        if not active:
            message = ngettext("%(n)s made inactive.", "%(n)s made inactive.", n)
        messages.success(request, message % {"n": n})
        if not preview.promoted:
            return HttpResponseRedirect(request.get_full_path())
        return redirect_to_result(actor_from_request(request).request_id, request.get_full_path())


def _set_active(rows: Sequence[Any], *, active: bool) -> tuple[list[Any], list[Any]]:
    """Set ``is_active``; return the rows that change and those that do not. An erased student stays inactive."""
    changed: list[Any] = []
    unchanged: list[Any] = []
    for row in rows:
        is_changed = row.is_active != active and not getattr(row, "erased_at", None)
        (changed if is_changed else unchanged).append(row)
    for row in changed:
        row.is_active = active
    return changed, unchanged


def _promotion_line(row: StudentCourse) -> PreviewLine:
    return PreviewLine(row.student, row.course, row.pk, Status.WAITLISTED, Status.ENROLLED)
