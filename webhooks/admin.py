"""The admin of webhooks: endpoints with their state, the actions on them, and the attempts."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectMultipleWidget, UnfoldAdminTextInputWidget

from courses.models import Course
from school.access.read_only_admin import ReadOnlyMixin
from school.admin_site.list_page import NOTHING, badge
from school.models import ApiClient
from students.admin.dashboard.links import changelist_url
from students.admin.dashboard.page_context import StatCard
from students.admin.widgets import MAX_PICKED, AutocompleteMultipleField, IdSelectMultiple
from students.events.kinds import KINDS
from webhooks.endpoints import change, pause, ping, register, replay, resume, rotate
from webhooks.models import Attempt, Endpoint, EndpointState, Outcome, PauseReason
from webhooks.outbox import lag_of

KIND_LABELS = {
    "enrollments": gettext_lazy("Enrollments"),
    "students": gettext_lazy("Students"),
    "courses": gettext_lazy("Courses"),
    "terms": gettext_lazy("Terms"),
}


def paused_alerts(request: HttpRequest) -> list[StatCard]:
    """Return the alert of the home page about webhooks that are paused although nobody has asked for it."""
    if not request.user.has_perm("webhooks.view_endpoint"):
        return []
    paused = Endpoint.objects.filter(state=EndpointState.PAUSED).exclude(pause_reason=PauseReason.REQUEST).count()
    label = ngettext("webhook is paused after failures", "webhooks are paused after failures", paused)
    link = changelist_url(Endpoint, state__exact=EndpointState.PAUSED)
    return [StatCard(paused, label, link, "webhook", is_urgent=True)] if paused else []


class EndpointForm(forms.ModelForm):
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Kinds"),
        choices=[(name, KIND_LABELS[name]) for name in KINDS],
        widget=UnfoldAdminSelectMultipleWidget,
    )
    courses = AutocompleteMultipleField(
        Course.objects.all(),
        label=gettext_lazy("Courses"),
        required=False,
        help_text=gettext_lazy("None: the changes of all courses."),
        error_messages={"too_many": gettext_lazy("Select at most %(most)s. The API accepts more.")},
        widget=IdSelectMultiple(ApiClient._meta.get_field("courses"), admin.site),
    )

    class Meta:
        model = Endpoint
        fields = ["url", "kinds", "courses", "description"]
        widgets = {"url": UnfoldAdminTextInputWidget}

    def clean_courses(self) -> list[int]:
        return sorted(course.pk for course in self.cleaned_data["courses"])


class ReplayForm(forms.Form):
    after = forms.CharField(
        label=gettext_lazy("Cursor"),
        max_length=500,
        required=False,
        help_text=gettext_lazy("A cursor of the change feed. Blank: all changes from the beginning."),
        widget=UnfoldAdminTextInputWidget,
    )


@admin.register(Endpoint)
class EndpointAdmin(ModelAdmin):
    """Endpoints. A secret is shown once: after the registration, and after a rotation."""

    form = EndpointForm
    list_display = ["name", "shown_state", "client", "lag", "delivered_at", "failed_at", "last_failure"]
    list_filter = ["state", "pause_reason"]
    list_select_related = ["client"]
    search_fields = ["url", "description"]
    search_help_text = gettext_lazy("A part of the URL or of the description.")
    empty_hint = gettext_lazy("A webhook pushes changes to a URL of another system.")
    ordering = ["id"]
    change_form_template = "webhooks/endpoint.html"
    shown_fields = ["client", "shown_state", "attempts", "lag", "delivered_at", "failed_at", "last_failure"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        own = ["url", "kinds", "courses", "description"]
        return own if obj is None else [*own, *self.shown_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        return [*self.shown_fields, *(["courses"] if len(obj.courses) > MAX_PICKED else [])]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        actions: dict[str, Any] = {"pause": self.pause, "resume": self.resume, "ping": self.ping, "rotate": self.rotate}
        urls = [
            path(f"<id:pk>/{name}/", view(require_POST(action)), name=f"webhooks_endpoint_{name}")
            for name, action in actions.items()
        ]
        replay_url = path("<id:pk>/replay/", view(self.replay), name="webhooks_endpoint_replay")
        return [*urls, replay_url, *super().get_urls()]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let the attempts be deleted with their endpoint, although they cannot be deleted alone."""
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, missing - {Attempt._meta.verbose_name}, protected

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            save_changes(obj, [name for name in form.changed_data if name in form.fields])
        else:
            obj.shown_secret = register(obj)

    def response_add(self, request: HttpRequest, obj: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._secret_page(request, obj, obj.shown_secret)

    def pause(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._act(request, pk, pause, _("The webhook is paused."))

    def resume(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._act(request, pk, resume, _("The webhook is active again."))

    def ping(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._act(request, pk, ping, _("A worker sends a ping now. Its attempt is in the list of attempts."))

    def rotate(self, request: HttpRequest, pk: int) -> HttpResponse:
        endpoint = self._changeable(request, pk)
        return self._secret_page(request, endpoint, rotate(pk))

    def replay(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the form for a cursor; by a valid POST, deliver again what follows it."""
        endpoint, form = self._changeable(request, pk), ReplayForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                replay(endpoint, form.cleaned_data["after"])
            except ValidationError as error:
                form.add_error("after", error.messages[0])
            else:
                messages.success(request, _("The changes after the cursor are delivered again."))
                return self._back(pk)
        context = {"title": _("Replay"), "original": endpoint, "form": form}
        return render(request, "webhooks/replay.html", {**self._context(request), **context})

    def _act(self, request: HttpRequest, pk: int, act: Callable[[int], object], message: str) -> HttpResponse:
        self._changeable(request, pk)
        act(pk)
        messages.success(request, message)
        return self._back(pk)

    def _back(self, pk: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:webhooks_endpoint_change", args=[pk]))

    def _changeable(self, request: HttpRequest, pk: int) -> Any:
        endpoint = self.get_object(request, str(pk))
        if endpoint is None:
            raise Http404
        if not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        return endpoint

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts}

    def _secret_page(self, request: HttpRequest, endpoint: Any, secret: str) -> HttpResponse:
        """Return a page with the secret. A redirect would store it in the session, unencrypted."""
        context = {"title": _("Secret"), "original": endpoint, "secret": secret}
        return render(request, "webhooks/secret.html", {**self._context(request), **context})

    @admin.display(description=gettext_lazy("webhook"))
    def name(self, endpoint: Endpoint) -> str:
        return str(endpoint)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def shown_state(self, endpoint: Endpoint) -> str:
        if endpoint.state == EndpointState.ACTIVE:
            return badge("failed" if endpoint.attempts else "done", endpoint.get_state_display())
        return badge("failed", f"{endpoint.get_state_display()}: {endpoint.get_pause_reason_display()}")

    @admin.display(description=gettext_lazy("lag"))
    def lag(self, endpoint: Endpoint) -> str:
        seconds = round(lag_of([endpoint]))
        return _("%(seconds)s s") % {"seconds": seconds} if seconds else NOTHING


def save_changes(endpoint: Endpoint, fields: list[str]) -> None:
    """Save changed fields under the lock of the endpoint, whose other fields a worker may have changed."""
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        for name in fields:
            setattr(locked, name, getattr(endpoint, name))
        change(locked, fields)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyMixin, ModelAdmin):
    """The attempts to deliver a message, which are only read."""

    list_display = ["at", "endpoint", "type", "message_id", "shown_outcome", "status", "milliseconds"]
    list_filter = ["outcome"]
    list_select_related = ["endpoint"]
    ordering = ["-id"]
    search_fields = ["=message_id"]
    search_help_text = gettext_lazy("The id of a message.")
    show_full_result_count = False

    @admin.display(description=gettext_lazy("outcome"), ordering="outcome")
    def shown_outcome(self, attempt: Attempt) -> str:
        return badge("done" if attempt.outcome == Outcome.DELIVERED else "failed", attempt.get_outcome_display())
