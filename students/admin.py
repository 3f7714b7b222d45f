"""Students, enrollments and rosters for registrars. Enrollments go through the same verbs as everywhere."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from simple_history.admin import SimpleHistoryAdmin

import courses.admin
from courses.models import Course
from school.logs import current_request_id
from students.enrollment import Origin, complete_many, drop_many, enroll, judge
from students.models import Action, Channel, Student, StudentCourse, seats_taken
from students.rules import Act

PANEL_ROWS = 100
SHOWN_REFUSALS = 10


def origin_of(request: HttpRequest) -> Origin:
    return Origin(Channel.ADMIN, actor_id=request.user.pk, request_id=current_request_id())


def enrollments_panel(side: str, owner: Student | Course) -> str:
    """Return the newest enrollments of a student or a course as a table, with links to the rest and to enroll."""
    enrollments = StudentCourse.objects.with_parties().filter(**{side: owner})
    context = {"enrollments": enrollments[:PANEL_ROWS], "side": side, "owner": owner, "most": PANEL_ROWS}
    return render_to_string("students/enrollments_panel.html", context)


@admin.register(Student)
class StudentAdmin(SimpleHistoryAdmin):
    list_display = ["student_number", "family_name", "given_name", "email", "is_active"]
    list_display_links = ["student_number", "family_name"]
    list_filter = ["is_active"]
    search_fields = ["student_number", "family_name", "given_name", "email"]
    show_full_result_count = False
    readonly_fields = ["enrollments"]
    fieldsets = [
        (None, {"fields": ["student_number", "given_name", "family_name", "email", "is_active"]}),
        (gettext_lazy("Courses"), {"fields": ["enrollments"]}),
    ]

    @admin.display(description=gettext_lazy("enrollments"))
    def enrollments(self, student: Student) -> str:
        return enrollments_panel("student", student) if student.pk else "–"


@admin.register(Course)
class CourseAdmin(courses.admin.CourseAdmin):
    list_display = ["code", "name", "term", "level", "capacity", "taken", "free", "is_active"]
    readonly_fields = ["taken", "free", "roster"]
    fieldsets: list[Any] = [
        *courses.admin.CourseAdmin.fieldsets,
        (gettext_lazy("Seats"), {"fields": ["taken", "free", "roster"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return super().get_queryset(request).annotate(seats_taken=seats_taken())

    @admin.display(description=gettext_lazy("taken"))
    def taken(self, course: Course) -> int:
        return getattr(course, "seats_taken", 0)

    @admin.display(description=gettext_lazy("free"))
    def free(self, course: Course) -> Any:
        return gettext_lazy("no limit") if course.capacity is None else max(course.capacity - self.taken(course), 0)

    @admin.display(description=gettext_lazy("roster"))
    def roster(self, course: Course) -> str:
        return enrollments_panel("course", course) if course.pk else "–"


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
    grade = forms.CharField(label=gettext_lazy("Grade"), max_length=32, required=False)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=1000, required=False)


@admin.register(StudentCourse)
class EnrollmentAdmin(admin.ModelAdmin):
    """Enrollments are made and ended here by the verbs, and never edited or deleted."""

    form = EnrollForm
    action_form = EndingForm
    actions = ["drop", "complete"]
    autocomplete_fields = ["student", "course"]
    list_display = ["id", "student", "course", "status", "enrolled_on", "ended_on", "grade"]
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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {"can_end": self.has_end_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=gettext_lazy("journal"))
    def journal(self, enrollment: StudentCourse) -> str:
        return render_to_string("students/journal.html", {"events": enrollment.events.select_related("actor")})

    @admin.action(description=gettext_lazy("Drop"), permissions=["end"])
    def drop(self, request: HttpRequest, queryset: QuerySet[StudentCourse]) -> None:
        pairs = list(queryset.order_by("pk").values_list("student_id", "course_id"))
        outcomes = drop_many(pairs, origin=origin_of(request), reason=request.POST.get("reason", ""))
        self._tell(request, outcomes)

    @admin.action(description=gettext_lazy("Complete, with the grade"), permissions=["end"])
    def complete(self, request: HttpRequest, queryset: QuerySet[StudentCourse]) -> None:
        pairs = list(queryset.order_by("pk").values_list("student_id", "course_id"))
        grade = request.POST.get("grade", "") or None
        outcomes = complete_many(pairs, origin=origin_of(request), grade=grade, reason=request.POST.get("reason", ""))
        self._tell(request, outcomes)

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
