"""Making many students or courses active or inactive: who gets a seat by that is shown before it is done."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from simple_history.utils import bulk_update_with_history
from unfold.admin import ModelAdmin

from courses.models import Course
from students.admin.consequences import Consequences, Line
from students.admin.origin import origin_of
from students.admin.results import to_result
from students.enrollment import courses_waited_for, promote
from students.models import Status, Student, StudentCourse

MOST = 1_000


@dataclass(frozen=True)
class Switched:
    """Which rows change, which do not, and who gets a seat by that. ``done``: it is so, and not only what would be."""

    changed: list[Any]
    same: list[Any]
    promoted: list[StudentCourse]
    done: bool

    @property
    def fingerprint(self) -> str:
        told = [[row.pk for row in self.changed], [[row.pk, row.version] for row in self.promoted]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class ActivityPages(ModelAdmin):
    """Two actions, and the page between choosing and doing."""

    actions = ["activate", "deactivate"]

    @admin.action(description=gettext_lazy("Make active"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._activity_page(request, queryset, active=True)

    @admin.action(description=gettext_lazy("Make inactive"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._activity_page(request, queryset, active=False)

    def _activity_page(self, request: HttpRequest, queryset: QuerySet[Any], *, active: bool) -> HttpResponse:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
        if len(ids) > MOST:
            messages.error(request, _("At most %(most)s at a time: choose fewer.") % {"most": MOST})
            return HttpResponseRedirect(request.get_full_path())
        shown = request.POST.get("shown", "") if request.POST.get("step") == "confirm" else ""
        switched = self._switch(request, ids, active=active, shown=shown)
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
            "told": told,
            "places": self._places(switched.changed),
            "fingerprint": switched.fingerprint,
            "differs": bool(shown) and not switched.done,
            "ids": ids,
            "back": request.get_full_path(),
        }
        return render(request, "students/activity.html", context)

    def _switch(self, request: HttpRequest, ids: Sequence[int], *, active: bool, shown: str) -> Switched:
        """Do it; and take it back where it is not what was shown. What is asked is thus what would be done."""
        with transaction.atomic():
            # Courses are locked before students, always.
            waited_for = courses_waited_for(ids) if self.model is Student else ids
            of_term = ["term"] if self.model is Course else []
            found = self.model._default_manager.filter(pk__in=ids).select_related(*of_term).order_by("pk")
            rows = list(found.select_for_update(of=("self",), no_key=True))
            changed = [row for row in rows if row.is_active != active and not getattr(row, "erased_at", None)]
            for row in changed:
                row.is_active = active
            if changed:
                bulk_update_with_history(changed, self.model, ["is_active"], default_user=request.user)
            promoted = promote(waited_for, origin=origin_of(request))
            switched = Switched(changed, [row for row in rows if row not in changed], promoted, done=True)
            if switched.fingerprint != shown:
                transaction.set_rollback(True)
                return Switched(switched.changed, switched.same, promoted, done=False)
        return switched

    def _places(self, changed: list[Any]) -> dict[str, int]:
        """Count the seats and the places in line that belong to the rows."""
        inside = StudentCourse.objects.filter(**{f"{self.opts.model_name}__in": [row.pk for row in changed]})
        return inside.order_by().aggregate(
            taken=Count("pk", filter=Q(status=Status.ENROLLED)), waiting=Count("pk", filter=Q(status=Status.WAITLISTED))
        )

    def _told(self, request: HttpRequest, switched: Switched, *, active: bool) -> HttpResponse:
        n = len(switched.changed)
        message = ngettext("%(n)s is active now.", "%(n)s are active now.", n)
        if not active:
            message = ngettext("%(n)s is inactive now.", "%(n)s are inactive now.", n)
        messages.success(request, message % {"n": n})
        if not switched.promoted:
            return HttpResponseRedirect(request.get_full_path())
        return to_result(origin_of(request).request_id, request.get_full_path())


def _seated(row: StudentCourse) -> Line:
    return Line(row.student, row.course, row.pk, Status.WAITLISTED, Status.ENROLLED)
