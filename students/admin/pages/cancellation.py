"""The admin pages that cancel a course and undo this, each with a preview."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from courses.models import Course
from school.identifiers import parse_id
from school.refusals import Refusal, Refused
from school.validators import plain_text
from students.admin.actions.action_effects import ActionPreview
from students.admin.actions.full_course_notes import lost_corequisite_notes
from students.admin.actor import actor_from_request
from students.admin.tabs import TabbedPage
from students.enrollment import cancel_course, is_cancelled, preview_cancellation, preview_undo, undo_cancellation


class CancellationForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=1000,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Stored in the journal."),
    )


class CancellationPages(TabbedPage):
    """Admin mixin for users who may change the course and drop enrollments."""

    @action(  # type: ignore[untyped-decorator]  # the theme has no types
        description=gettext_lazy("Cancel course"),
        url_path="cancel",
        icon="event_busy",
        permissions=["cancel_course"],
    )
    def cancel_course(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what the cancellation would do, and cancel the course if the user confirmed a current preview."""
        return self._cancellation_page(request, object_id, is_undo=False)

    @action(  # type: ignore[untyped-decorator]  # the theme has no types
        description=gettext_lazy("Undo the cancellation"),
        url_path="cancel-undo",
        icon="undo",
        permissions=["undo_cancellation"],
    )
    def undo_cancellation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what the undo would do, and undo the cancellation if the user confirmed a current preview."""
        return self._cancellation_page(request, object_id, is_undo=True)

    def has_cancel_course_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_cancel(request) and not self._is_cancelled(object_id)

    def has_undo_cancellation_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_cancel(request) and self._is_cancelled(object_id)

    def _may_cancel(self, request: HttpRequest) -> bool:
        may_drop: bool = self.enrollment_admin.has_drop_permission(request)
        return may_drop and self.has_change_permission(request)

    def _is_cancelled(self, object_id: Any) -> bool:
        pk = parse_id(str(object_id))
        return pk is not None and is_cancelled(Course(pk=pk))

    def _cancellation_page(self, request: HttpRequest, object_id: str, *, is_undo: bool) -> HttpResponse:
        course = self.get_object(request, object_id)
        if course is None:
            raise Http404
        if not self.has_change_permission(request, course):
            raise PermissionDenied
        form = CancellationForm(request.POST or None)
        form.fields["reason"].required = not is_undo
        actor, is_stale, result = actor_from_request(request), False, None
        refusals: tuple[Refusal, ...] = ()
        try:
            if request.method == "POST" and form.is_valid():
                act = undo_cancellation if is_undo else cancel_course
                reason, fingerprint = form.cleaned_data["reason"], request.POST.get("shown", "")
                result = act(course.pk, actor=actor, reason=reason, fingerprint=fingerprint)
                if result.preview.committed:
                    return self._redirect_when_done(request, course, is_undo=is_undo)
                is_stale = True
            else:
                result = (preview_undo if is_undo else preview_cancellation)(course.pk, actor=actor)
        except Refused as refused:
            refusals = refused.refusals
        preview = ActionPreview()
        notes: list[str] = []
        if result is not None:
            preview.add(result.preview, {}, lambda key: None)
            notes = lost_corequisite_notes(result.preview, self.enrollment_admin.get_queryset(request))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Undo the cancellation") if is_undo else _("Cancel course"),
            "opts": self.opts,
            "course": course,
            "form": form,
            "is_undo": is_undo,
            "is_stale": is_stale,
            "refusals": refusals,
            "result": result,
            "preview": preview,
            "notes": notes,
            "page_url": self.page_url(course),
        }
        return render(request, "students/pages/cancellation.html", context)

    def _redirect_when_done(self, request: HttpRequest, course: Course, *, is_undo: bool) -> HttpResponse:
        text = _("The cancellation of %(course)s is undone.") if is_undo else _("%(course)s is cancelled.")
        messages.success(request, text % {"course": course})
        return HttpResponseRedirect(self.page_url(course))
