"""The admin of enrollments. It creates and ends them by the operations of ``students.enrollment``."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import ActionForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from courses.models import Course
from school.desk.row_access import NarrowedFilter
from school.refusals import Refused
from school.validators import parse_ids
from students.admin.actions.confirm import MOST, WAYS, ActPages
from students.admin.actor import origin_of
from students.admin.bulk_enroll.views import EnrollManyPages
from students.admin.search import PERSON, containing, few
from students.admin.widgets import IdSelect
from students.enrollment import judge, perform
from students.enrollment.commands import Act, OnFull, Origin, Outcome
from students.enrollment.rules import ALL_RULES
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
    origin: Origin
    in_earnest = True  # True if the form is to be saved, False for a preview
    outcome: Outcome | None = None  # the decision of the rules, set by ``clean``

    class Meta:
        model = StudentCourse
        fields = ["student", "course"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        [self.outcome] = [outcome] = judge([self.act], self.origin, in_earnest=self.in_earnest)
        for refusal in outcome.refusals:
            field = refusal.field if refusal.field in self.fields else None
            self.add_error(field, forms.ValidationError(refusal.message, code=refusal.code))
        if outcome.accepted and not outcome.changed:
            message = _("This student is already enrolled in %(course)s or on its waitlist.") % {
                "course": cleaned["course"].code
            }
            self.add_error(None, forms.ValidationError(message, code="already_open"))
        return cleaned

    @property
    def act(self) -> Act:
        """The act that the form asks for."""
        wish = self.cleaned_data
        return Act(
            Action.ENROLL,
            wish["student"].pk,
            wish["course"].pk,
            reason=wish["reason"],
            on_full=OnFull(wish["on_full"] or OnFull.REJECT),
            waive=frozenset(wish.get("waive", ())),
        )


class EndingForm(ActionForm):
    """The optional fields of an action. The confirmation page validates them and shows them again."""

    grade = forms.CharField(label=gettext_lazy("Grade"), required=False)
    reason = forms.CharField(label=gettext_lazy("Reason"), required=False)


@admin.register(StudentCourse)
class EnrollmentAdmin(EnrollManyPages, ActPages):
    """The admin of enrollments. They are created and ended by acts, and never edited or deleted."""

    form = EnrollForm
    action_form = EndingForm
    actions = ["drop", "complete", "undo", "promote"]
    autocomplete_fields = ["student", "course"]
    list_display = ["id", "student", "course_key", "status", "place", "enrolled_on", "ended_on", "grade"]
    list_filter = ["status", "course__level", ("course__term", NarrowedFilter), "course__is_active"]
    list_select_related = ["student", "course__term"]
    search_fields = ["student", "course"]  # only switches the search on; ``get_search_results`` defines it
    show_full_result_count = False
    shown = [
        "student",
        "course",
        "status",
        "place",
        "enrolled_on",
        "ended_on",
        "grade",
        "created_at",
        "updated_at",
        "journal",
    ]

    def get_fields(self, request: HttpRequest, obj: StudentCourse | None = None) -> list[Any]:
        if obj:
            return self.shown
        waiver = ["waive"] if request.user.has_perm("students.waive_rules") else []
        return ["student", "course", "on_full", *waiver, "reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: StudentCourse | None = None) -> list[str]:
        return ["place", "journal"] if obj else []

    def get_queryset(self, request: HttpRequest) -> StudentCourseQuerySet:
        return StudentCourse.objects.with_parties()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the students and courses of each word first: a search over the columns of both would read every row."""
        for number, word in enumerate(search_term.split()):
            students = Student.objects.filter(containing([word], *PERSON))
            courses = Course.objects.filter(containing([word], "code", "name"))
            chosen = Q(student__in=few(students, number)) | Q(course__in=few(courses, number))
            queryset = queryset.filter(chosen)
        return queryset, False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.origin = origin_of(request)
        if not form.origin.may_waive:
            form.base_fields.pop("waive", None)
        return form

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["widget"] = IdSelect(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: StudentCourse, form: Any, change: bool) -> None:
        # The form has checked the rules in this transaction, so the course has been locked since then.
        [outcome] = perform([form.act], form.origin)
        if outcome.refusals:
            raise Refused(outcome.refusals)
        obj.pk = outcome.enrollment.pk if outcome.enrollment else None
        if outcome.enrollment and outcome.enrollment.status == Status.WAITLISTED:
            place = {"place": outcome.enrollment.waitlist_position}
            messages.info(request, _("No seat is free. The student is on the waitlist, at position %(place)s.") % place)

    def has_change_permission(self, request: HttpRequest, obj: StudentCourse | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: StudentCourse | None = None) -> bool:
        return False

    def has_end_permission(self, request: HttpRequest) -> bool:
        return self.may_act(request, WAYS["drop"])

    def has_move_up_permission(self, request: HttpRequest) -> bool:
        return self.may_act(request, WAYS["promote"])

    def has_complete_permission(self, request: HttpRequest) -> bool:
        return self.may_act(request, WAYS["complete"])

    @admin.display(description=gettext_lazy("waitlist position"))
    def place(self, enrollment: StudentCourse) -> int | None:
        return enrollment.waitlist_position

    @admin.display(description=gettext_lazy("course"), ordering="course__code")
    def course_key(self, enrollment: StudentCourse) -> str:
        return enrollment.course.key

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        try:
            return super().add_view(request, form_url, extra_context)
        except Refused as refused:  # a student or a window has changed since the form was validated; nothing was saved
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.get_full_path())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        waits = StudentCourse.objects.waiting().filter(pk__in=parse_ids(object_id)).exists()
        may = {
            "can_end": self.has_end_permission(request),
            "can_complete": self.has_complete_permission(request),
            "can_move_up": waits and self.has_move_up_permission(request),
        }
        context = {**may, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=gettext_lazy("journal"))
    def journal(self, enrollment: StudentCourse) -> str:
        return render_to_string("students/journal.html", {"events": enrollment.events.select_related("actor")})

    @admin.action(description=WAYS["drop"].title, permissions=["end"])
    def drop(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._to_consequences(request, "drop", queryset)

    @admin.action(description=gettext_lazy("Complete, with the grade"), permissions=["complete"])
    def complete(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._to_consequences(request, "complete", queryset)

    @admin.action(description=WAYS["undo"].title, permissions=["end"])
    def undo(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._to_consequences(request, "undo", queryset)

    @admin.action(description=WAYS["promote"].title, permissions=["move_up"])
    def promote(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._to_consequences(request, "promote", queryset)

    def _to_consequences(self, request: HttpRequest, name: str, queryset: QuerySet[Any]) -> HttpResponse:
        """Show the preview page for the chosen enrollments. At most ``MOST + 1`` ids are read, to detect too many."""
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
        return self.consequences(request, WAYS[name], ids, request.get_full_path())
