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
from students.admin.actions.preview import Consequences, Line, first_of
from students.admin.actions.result import to_result
from students.admin.actor import origin_of
from students.enrollment import courses_waited_for, foresee_promotions, lock_to_deactivate, promote
from students.models import Status, Student, StudentCourse

MOST = 1_000


@dataclass(frozen=True)
class Switched:
    """
    The rows that change, the rows that do not, and the enrollments that get a seat as a result.

    ``done`` is True if the changes were saved, False if this is a preview.
    """

    changed: list[Any]
    same: list[Any]
    promoted: list[StudentCourse]
    done: bool

    @property
    def fingerprint(self) -> str:
        told = [[row.pk for row in self.changed], [[row.pk, row.version] for row in self.promoted]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class ActivityPages(ModelAdmin):
    """Admin mixin with the actions to activate and deactivate rows, and their confirmation page."""

    actions: Any = ["activate", "deactivate"]

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Read the chosen ids from one field: a field for each of a thousand rows would be half of the page."""
        if "chosen" in request.POST:
            post: Any = request.POST.copy()
            post.setlist(ACTION_CHECKBOX_NAME, post["chosen"].split(","))
            request.POST = post
        return super().changelist_view(request, *args, **kwargs)

    @admin.action(description=gettext_lazy("Make active"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._activity_page(request, queryset, active=True)

    @admin.action(description=gettext_lazy("Make inactive"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._activity_page(request, queryset, active=False)

    def _activity_page(self, request: HttpRequest, queryset: QuerySet[Any], *, active: bool) -> HttpResponse:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
        if len(ids) > MOST:
            messages.error(
                request, _("At most %(most)s objects can be deleted at a time. Select fewer.") % {"most": MOST}
            )
            return HttpResponseRedirect(request.get_full_path())
        shown = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        do = self._switch if shown else self._foresee
        switched = do(request, ids, active=active, shown=shown)
        if switched.done and switched.changed:
            return self._told(request, switched, active=active)
        told = Consequences(promoted=[_seated(row) for row in switched.promoted])
        context = {
            **self.admin_site.each_context(request),
            "title": _("Make active") if active else _("Make inactive"),
            "opts": self.opts,
            "action": "activate" if active else "deactivate",
            "active": active,
            "kind": self.opts.model_name,
            "changed": switched.changed,
            "same": switched.same,
            "shown": {"changed": first_of(switched.changed), "same": first_of(switched.same)},
            "told": told,
            "places": self._places(switched.changed),
            "fingerprint": switched.fingerprint,
            "differs": bool(shown) and not switched.done,
            "ids": ",".join(map(str, ids)),
            "back": request.get_full_path(),
        }
        return render(request, "students/activity.html", context)

    def _found(self, ids: Sequence[int]) -> QuerySet[Any]:
        of_term = ["term"] if self.model is Course else []
        return self.model._default_manager.filter(pk__in=ids).select_related(*of_term).order_by("pk")

    def _foresee(self, request: HttpRequest, ids: Sequence[int], *, active: bool, shown: str) -> Switched:
        """Return a preview of the change, without a lock."""
        rows = list(self._found(ids))
        changed, same = _switched(rows, active=active)
        promoted = foresee_promotions(rows, origin_of(request))
        return Switched(changed, same, promoted, done=False)

    def _switch(self, request: HttpRequest, ids: Sequence[int], *, active: bool, shown: str) -> Switched:
        """Save the change, and roll it back if it is not what the preview showed."""
        with transaction.atomic():
            # Courses are always locked before students.
            waited_for = courses_waited_for(ids) if self.model is Student else ids
            rows = list(self._found(ids).select_for_update(of=("self",), no_key=True))
            changed, same = _switched(rows, active=active)
            if self.model is Student and not active:
                lock_to_deactivate(row.pk for row in changed)
            if changed:
                bulk_update_with_history(changed, self.model, ["is_active"], default_user=request.user)
            promoted = promote(waited_for, origin=origin_of(request))
            switched = Switched(changed, same, promoted, done=True)
            if switched.fingerprint != shown:
                transaction.set_rollback(True)
                return Switched(switched.changed, switched.same, promoted, done=False)
        return switched

    def _places(self, changed: list[Any]) -> dict[str, int]:
        """Count the enrolled and the waitlisted enrollments of the rows."""
        inside = StudentCourse.objects.filter(**{f"{self.opts.model_name}__in": [row.pk for row in changed]})
        return inside.order_by().aggregate(
            taken=Count("pk", filter=Q(status=Status.ENROLLED)), waiting=Count("pk", filter=Q(status=Status.WAITLISTED))
        )

    def _told(self, request: HttpRequest, switched: Switched, *, active: bool) -> HttpResponse:
        n = len(switched.changed)
        message = ngettext("%(n)s made active.", "%(n)s made active.", n)
        if not active:
            message = ngettext("%(n)s made inactive.", "%(n)s made inactive.", n)
        messages.success(request, message % {"n": n})
        if not switched.promoted:
            return HttpResponseRedirect(request.get_full_path())
        return to_result(origin_of(request).request_id, request.get_full_path())


def _switched(rows: Sequence[Any], *, active: bool) -> tuple[list[Any], list[Any]]:
    """Set ``is_active``; return the rows that change and those that do not. An erased student stays inactive."""
    changed: list[Any] = []
    same: list[Any] = []
    for row in rows:
        changes = row.is_active != active and not getattr(row, "erased_at", None)
        (changed if changes else same).append(row)
    for row in changed:
        row.is_active = active
    return changed, same


def _seated(row: StudentCourse) -> Line:
    return Line(row.student, row.course, row.pk, Status.WAITLISTED, Status.ENROLLED)
