"""Students, enrollments and rosters for registrars. Enrollments go through the same verbs as everywhere."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from simple_history.admin import SimpleHistoryAdmin

import courses.admin
from courses.models import Course
from school.logs import current_request_id
from school.refusals import Refused
from school.validators import parse_ids, plain_text
from students.enrollment import Origin, complete_many, drop_many, enroll, judge
from students.models import Action, Channel, Student, StudentCourse, StudentCourseQuerySet, seats_taken
from students.rules import Act

PANEL_ROWS = 100
SHOWN_REFUSALS = 10


def origin_of(request: HttpRequest) -> Origin:
    return Origin(Channel.ADMIN, actor_id=request.user.pk, request_id=current_request_id())


class EnrollmentsPanel(courses.admin.BoundedSearch, SimpleHistoryAdmin):
    """Show the newest enrollments below the form, with links to the rest of them and to enroll."""

    change_form_template = "students/change_form_with_enrollments.html"
    side: str  # which side of an enrollment this is: "student" or "course"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        owner = context["original"]
        enrollments = StudentCourse.objects.with_parties().filter(**{self.side: owner or None})
        panel = {"enrollments": enrollments[:PANEL_ROWS], "side": self.side, "owner": owner, "most": PANEL_ROWS}
        return super().render_change_form(request, {**context, **panel}, *args, **kwargs)


@admin.register(Student)
class StudentAdmin(EnrollmentsPanel):
    side = "student"
    list_display = ["student_number", "family_name", "given_name", "email", "is_active"]
    list_display_links = ["student_number", "family_name"]
    list_filter = ["is_active"]
    search_fields = ["student_number", "family_name", "given_name", "email"]
    show_full_result_count = False
    fields = ["student_number", "given_name", "family_name", "email", "is_active"]


@admin.register(Course)
class CourseAdmin(EnrollmentsPanel, courses.admin.CourseAdmin):
    side = "course"
    list_display = ["code", "name", "term", "level", "capacity", "taken", "free", "is_active"]
    readonly_fields = ["taken", "free"]
    fieldsets: ClassVar[list[Any]] = [
        *courses.admin.CourseAdmin.fieldsets,
        (gettext_lazy("Seats"), {"fields": ["taken", "free"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return super().get_queryset(request).annotate(seats_taken=seats_taken())

    @admin.display(description=gettext_lazy("taken"))
    def taken(self, course: Course) -> int:
        return getattr(course, "seats_taken", 0)

    @admin.display(description=gettext_lazy("free"))
    def free(self, course: Course) -> Any:
        return gettext_lazy("no limit") if course.capacity is None else max(course.capacity - self.taken(course), 0)


class IdSelect(AutocompleteSelect):
    """Show a form again whatever was sent: Django looks up the sent values as they are."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, [each for each in value if parse_ids(str(each))], attr)


class EnrollForm(forms.ModelForm):
    """Ask the rules before anything is saved: a refusal is a form error, with every reason."""

    reason = forms.CharField(
        label=gettext_lazy("reason"),
        max_length=1000,
        required=False,
        help_text=gettext_lazy("Kept in the journal."),
    )
    origin: Origin

    class Meta:
        model = StudentCourse
        fields = ["student", "course"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        [outcome] = judge([Act(Action.ENROLL, cleaned["student"].pk, cleaned["course"].pk)], self.origin)
        for refusal in outcome.refusals:
            self.add_error(None, forms.ValidationError(refusal.message, code=refusal.code))
        if outcome.accepted and not outcome.changed:
            message = _("This student is in %(course)s already.") % {"course": cleaned["course"].code}
            self.add_error(None, forms.ValidationError(message, code="already_open"))
        return cleaned


class EndingForm(ActionForm):
    grade = forms.CharField(label=gettext_lazy("Grade"), max_length=32, required=False, validators=[plain_text])
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=1000, required=False)


@admin.register(StudentCourse)
class EnrollmentAdmin(courses.admin.BoundedSearch):
    """Enrollments are made and ended here by the verbs, and never edited or deleted."""

    form = EnrollForm
    action_form = EndingForm
    actions = ["drop", "complete"]
    autocomplete_fields = ["student", "course"]
    list_display = ["id", "student", "course_key", "status", "enrolled_on", "ended_on", "grade"]
    list_filter = ["status", "course__level", "course__term"]
    list_select_related = ["student", "course__term"]
    search_fields = ["student__student_number", "student__family_name", "student__given_name", "course__code"]
    show_full_result_count = False
    shown = ["student", "course", "status", "enrolled_on", "ended_on", "grade", "created_at", "updated_at", "journal"]

    def get_fields(self, request: HttpRequest, obj: StudentCourse | None = None) -> list[Any]:
        return self.shown if obj else ["student", "course", "reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: StudentCourse | None = None) -> list[str]:
        return ["journal"] if obj else []

    def get_queryset(self, request: HttpRequest) -> QuerySet[StudentCourse]:
        return super().get_queryset(request).select_related("student", "course__term")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.origin = origin_of(request)
        return form

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["widget"] = IdSelect(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: StudentCourse, form: Any, change: bool) -> None:
        # The form has asked in this very transaction, and the course is locked since.
        outcome = enroll(
            student_id=obj.student_id,
            course_id=obj.course_id,
            reason=form.cleaned_data["reason"],
            origin=form.origin,
        )
        obj.pk = outcome.enrollment.pk if outcome.enrollment else None

    def has_change_permission(self, request: HttpRequest, obj: StudentCourse | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: StudentCourse | None = None) -> bool:
        return False

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("students.change_studentcourse")

    @admin.display(description=gettext_lazy("course"), ordering="course__code")
    def course_key(self, enrollment: StudentCourse) -> str:
        return enrollment.course.key

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        try:
            return super().add_view(request, form_url, extra_context)
        except Refused as refused:  # a student or a window has changed since the form asked; nothing was saved
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.get_full_path())

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        """Say what is wrong with a grade or a reason, where Django would say that no action was chosen."""
        ending = self._ending(request)
        wrong = [(name, error) for name in ("grade", "reason") for error in ending.errors.get(name, ())]
        for name, error in wrong:
            messages.error(request, f"{ending[name].label}: {error}")
        if wrong:
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args, **kwargs)

    def _ending(self, request: HttpRequest) -> EndingForm:
        return EndingForm({"action": "drop", **{name: request.POST.get(name, "") for name in ("grade", "reason")}})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {"can_end": self.has_end_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=gettext_lazy("journal"))
    def journal(self, enrollment: StudentCourse) -> str:
        return render_to_string("students/journal.html", {"events": enrollment.events.select_related("actor")})

    @admin.action(description=gettext_lazy("Drop"), permissions=["end"])
    def drop(self, request: HttpRequest, queryset: StudentCourseQuerySet) -> None:
        _grade, reason = self._grade_and_reason(request)
        pairs = self._pairs(request, queryset)
        self._tell(request, drop_many(pairs, origin=origin_of(request), reason=reason))

    @admin.action(description=gettext_lazy("Complete, with the grade"), permissions=["end"])
    def complete(self, request: HttpRequest, queryset: StudentCourseQuerySet) -> None:
        grade, reason = self._grade_and_reason(request)
        pairs = self._pairs(request, queryset)
        self._tell(request, complete_many(pairs, origin=origin_of(request), grade=grade or None, reason=reason))

    def _grade_and_reason(self, request: HttpRequest) -> tuple[str, str]:
        ending = self._ending(request)
        ending.is_valid()
        return ending.cleaned_data["grade"], ending.cleaned_data["reason"]

    def _pairs(self, request: HttpRequest, chosen: StudentCourseQuerySet) -> list[tuple[int, int]]:
        """Return whom to act on. A row that is history is left alone: the verbs act on the newest of a pair."""
        pairs = list(chosen.newest().order_by("pk").values_list("student_id", "course_id"))
        history = chosen.count() - len(pairs)
        if history:
            message = _("%(n)s left alone: the student has come back since, in a newer enrollment.")
            messages.warning(request, message % {"n": history})
        return pairs

    def _tell(self, request: HttpRequest, outcomes: list[Any]) -> None:
        """Say how many changed, how many were so already, and why the rest was refused."""
        changed = sum(outcome.changed for outcome in outcomes)
        refused = [outcome for outcome in outcomes if outcome.refusals]
        unchanged = len(outcomes) - changed - len(refused)
        if changed:
            message = ngettext("%(n)s enrollment changed.", "%(n)s enrollments changed.", changed) % {"n": changed}
            messages.success(request, message)
        if unchanged:
            messages.info(request, _("%(n)s were so already.") % {"n": unchanged})
        for outcome in refused[:SHOWN_REFUSALS]:
            why = " ".join(refusal.message for refusal in outcome.refusals)
            messages.error(request, f"{outcome.enrollment}: {why}")
        if len(refused) > SHOWN_REFUSALS:
            messages.error(request, _("%(n)s more were refused.") % {"n": len(refused) - SHOWN_REFUSALS})
