"""
The admin of enrollments.

It creates and ends them by the operations of ``students.enrollment``.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import ActionForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from courses.lookup import has_key
from courses.models import Course
from school.admin_site.list_page import badge
from school.admin_site.row_access import RowScopeFilter
from school.identifiers import parse_ids
from school.refusals import Refused
from students.admin.actions.action_effects import MAX_ROWS
from students.admin.actions.bulk_actions import BULK_ACTIONS, BulkActionViews
from students.admin.actor import actor_from_request
from students.admin.as_of import AsOfExport
from students.admin.bulk_enroll.views import BulkEnrollViews
from students.admin.dashboard.statistics import running_term_filter
from students.admin.pages.enroll_panel import message_enrolled, panel_context, panel_fragment
from students.admin.search import STUDENT_FIELDS, ids_or_subquery, match_all_words
from students.admin.widgets import IdSelect
from students.enrollment import dry_run, execute, preview_commands
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.outcomes import Outcome
from students.enrollment.preview import Preview
from students.enrollment.rules import ALL_RULES
from students.exports import ENROLLMENTS
from students.models import Action, Status, Student, StudentCourse, StudentCourseQuerySet


class EnrollForm(forms.ModelForm):
    """Checks the rules before saving. Each reason of a refusal is a form error."""

    on_full = forms.ChoiceField(
        label=gettext_lazy("If no seat is free"),
        choices=[(OnFull.REJECT, gettext_lazy("refuse")), (OnFull.WAITLIST, gettext_lazy("waitlist"))],
        initial=OnFull.REJECT,
        widget=UnfoldAdminSelectWidget,
        required=False,
    )
    waive = forms.MultipleChoiceField(
        label=gettext_lazy("Waive"),
        choices=[(rule.code, rule.title) for rule in {rule.code: rule for rule in ALL_RULES if rule.waivable}.values()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
        help_text=gettext_lazy("Override these rules for this enrollment (a reason is required)."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=1000,
        widget=UnfoldAdminTextInputWidget,
        required=False,
        help_text=gettext_lazy("Stored in the journal."),
    )
    actor: ActorContext
    record_refusals = True  # False for a preview
    visible_enrollments: StudentCourseQuerySet  # those that the user may see
    preview: Preview | None = None  # set by ``clean`` for a preview
    outcome: Outcome | None = None  # the decision of the rules, set by ``clean``

    class Meta:
        model = StudentCourse
        fields = ["student", "course", "instead_of"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        if self.record_refusals:
            [outcome] = dry_run([self.command], self.actor, record_refusals=True)
        else:
            self.preview = preview_commands([self.command], self.actor)
            [(outcome, _event)] = self.preview.planned_actions
        self.outcome = outcome
        for refusal in outcome.refusals:
            field = refusal.field if refusal.field in self.fields else None
            self.add_error(field, forms.ValidationError(refusal.message, code=refusal.code))
        if outcome.accepted and not outcome.changed:
            message = _("This student is already enrolled in %(course)s or on its waitlist.") % {
                "course": data["course"].code
            }
            self.add_error(None, forms.ValidationError(message, code="already_open"))
        return data

    @property
    def command(self) -> EnrollmentCommand:
        """The command that the form stands for. A preview shows the place on the waitlist if no seat is free."""
        data, default = self.cleaned_data, OnFull.REJECT if self.record_refusals else OnFull.WAITLIST
        return EnrollmentCommand(
            Action.ENROLL,
            data["student"].pk,
            data["course"].pk,
            reason=data["reason"],
            on_full=OnFull(data["on_full"] or default),
            waived_codes=frozenset(data.get("waive", ())),
            instead_of=data["instead_of"].pk if data.get("instead_of") else None,
        )


class ActionOptionsForm(ActionForm):
    """The optional fields of an action. The confirmation page validates them and shows them again."""

    grade = forms.CharField(label=gettext_lazy("Grade"), required=False)
    reason = forms.CharField(label=gettext_lazy("Reason"), required=False)


@admin.register(StudentCourse)
class EnrollmentAdmin(AsOfExport, BulkEnrollViews, BulkActionViews):
    """The admin of enrollments. They are created and changed by commands, and never edited or deleted."""

    list_export = ENROLLMENTS
    form = EnrollForm
    action_form = ActionOptionsForm
    actions = ["drop", "complete", "undo", "promote"]
    autocomplete_fields = ["student", "course", "instead_of"]
    list_display = ["student", "course_key", "status_badge", "grade", "enrolled_on", "ended_on"]
    list_filter = ["status", "course__level", ("course__term", RowScopeFilter), "course__is_active"]
    list_select_related = ["student", "course__term"]
    search_fields = ["student", "course"]  # only switches the search on; ``get_search_results`` defines it
    show_full_result_count = False
    empty_hint = gettext_lazy("Enroll a student here, enroll many at once, or import a file.")
    detail_fields = [
        "student",
        "course",
        "status",
        "waitlist_position",
        "instead_of",
        "enrolled_on",
        "ended_on",
        "grade",
        "created_at",
        "updated_at",
        "journal",
    ]

    def get_fields(self, request: HttpRequest, obj: StudentCourse | None = None) -> list[Any]:
        if obj:
            return self.detail_fields
        waiver = ["waive"] if request.user.has_perm("students.waive_rules") else []
        return ["student", "course", "instead_of", "on_full", *waiver, "reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: StudentCourse | None = None) -> list[str]:
        return ["waitlist_position", "journal"] if obj else []

    def get_queryset(self, request: HttpRequest) -> StudentCourseQuerySet:
        return StudentCourse.objects.with_details()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the students and courses of each word first: a search over the columns of both would read every row."""
        for word_index, word in enumerate(search_term.split()):
            students = Student.objects.filter(match_all_words([word], *STUDENT_FIELDS))
            is_of_course = has_key(word) if "@" in word else match_all_words([word], "code", "name")
            courses = Course.objects.filter(is_of_course)
            of_students = Q(student__in=ids_or_subquery(students, word_index))
            of_courses = Q(course__in=ids_or_subquery(courses, word_index))
            queryset = queryset.filter(of_students | of_courses)
        return queryset, False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.actor, form.visible_enrollments = actor_from_request(request), self.get_queryset(request)
        if not form.actor.may_waive:
            form.base_fields.pop("waive", None)
        return form

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["widget"] = IdSelect(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: StudentCourse, form: Any, change: bool) -> None:
        # The form has checked the rules in this transaction, so the course has been locked since then.
        [outcome] = execute([form.command], form.actor)
        if outcome.refusals:
            raise Refused(outcome.refusals)
        obj.pk = outcome.enrollment.pk if outcome.enrollment else None

    def has_change_permission(self, request: HttpRequest, obj: StudentCourse | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: StudentCourse | None = None) -> bool:
        return False

    def has_drop_permission(self, request: HttpRequest) -> bool:
        return self.has_bulk_action_permission(request, BULK_ACTIONS["drop"])

    def has_promote_permission(self, request: HttpRequest) -> bool:
        return self.has_bulk_action_permission(request, BULK_ACTIONS["promote"])

    def has_complete_permission(self, request: HttpRequest) -> bool:
        return self.has_bulk_action_permission(request, BULK_ACTIONS["complete"])

    @admin.display(description=gettext_lazy("waitlist position"))
    def waitlist_position(self, enrollment: StudentCourse) -> int | None:
        return enrollment.waitlist_position

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def status_badge(self, enrollment: StudentCourse) -> str:
        if enrollment.status == Status.WAITLISTED:
            label = _("waitlisted at %(place)s") % {"place": enrollment.waitlist_position}
        else:
            label = enrollment.get_status_display()
        return badge(enrollment.status, label)

    def default_filters(self, request: HttpRequest) -> dict[str, Any]:
        return running_term_filter(request, "course__term")

    @admin.display(description=gettext_lazy("course"), ordering="course__code")
    def course_key(self, enrollment: StudentCourse) -> str:
        return enrollment.course.full_code

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        if "ask" in request.POST:
            return self._preview_enrollment(request)
        try:
            return super().add_view(request, form_url, extra_context)
        except Refused as refused:  # a student or a window has changed since the form was validated; nothing was saved
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.get_full_path())

    def _preview_enrollment(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = self.get_form(request)(request.POST)
        form.record_refusals = False
        if "fragment" in request.POST:
            return panel_fragment(request, form)
        context = {
            **self.admin_site.each_context(request),
            **panel_context(form, ["student", "course"], request.get_full_path()),
            "title": _("Enroll a student"),
            "heading": _("Enroll a student"),
            "opts": self.opts,
        }
        return render(request, "students/pages/enroll.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, *args: Any, **kwargs: Any
    ) -> Any:
        """Enroll a student by the panel of the pages of students and courses, with a field for each of the two."""
        if add and not context["is_popup"]:
            form = context["adminform"].form
            panel = panel_context(form, ["student", "course"], request.get_full_path())
            context = {**context, **panel, "title": _("Enroll a student"), "heading": _("Enroll a student")}
        return super().render_change_form(request, context, add, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> Any:
        if "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        answer = self.response_post_save_add(request, obj)
        message_enrolled(request, self, obj.pk, answer.url)
        return answer

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        status = (
            StudentCourse.objects.filter(pk__in=parse_ids(object_id)).values_list("status", flat=True).first() or ""
        )
        permitted = self.permitted_actions(request)
        possible = {name for name in permitted if BULK_ACTIONS[name].is_possible(status)}
        context = {"possible_actions": possible, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=gettext_lazy("journal"))
    def journal(self, enrollment: StudentCourse) -> str:
        return render_to_string("students/event_table.html", {"events": enrollment.events.select_related("actor")})

    @admin.action(description=BULK_ACTIONS["drop"].title, permissions=["drop"])
    def drop(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._preview_action(request, "drop", queryset)

    @admin.action(description=gettext_lazy("Complete, with the grade"), permissions=["complete"])
    def complete(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._preview_action(request, "complete", queryset)

    @admin.action(description=BULK_ACTIONS["undo"].title, permissions=["drop"])
    def undo(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._preview_action(request, "undo", queryset)

    @admin.action(description=BULK_ACTIONS["promote"].title, permissions=["promote"])
    def promote(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._preview_action(request, "promote", queryset)

    def _preview_action(self, request: HttpRequest, name: str, queryset: QuerySet[Any]) -> HttpResponse:
        """Show the preview page for the selected enrollments. Read one id more than allowed, to detect too many."""
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MAX_ROWS + 1])
        return self.preview_or_execute(request, BULK_ACTIONS[name], ids, request.get_full_path())
