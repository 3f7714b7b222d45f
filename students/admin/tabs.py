"""The page of a student or a course, in tabs: each a link with ``?tab=``, so that it can be sent and kept."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin

from school.validators import parse_ids
from students.models import EnrollmentEvent, StudentCourse, StudentCourseQuerySet

FORM, TIMELINE = "form", "timeline"
EVENTS = 50  # on a page of the timeline


@dataclass(frozen=True, slots=True)
class Tab:
    name: str
    title: str
    count: int | None = None


class TabbedPage(SimpleHistoryAdmin, ModelAdmin):
    """
    Show enrollments, what happened to them, and the form, each in a tab of its own.

    Who sees enrollments and what may be done to them is asked of their own admin, so that it is decided there alone.
    """

    change_form_template = "students/desk/page.html"
    side: str  # which side of an enrollment this is: "student" or "course"
    form_title: Any

    def tabs(self, request: HttpRequest, owner: Any) -> list[Tab]:
        """Return what there is to see beside the form and the timeline."""
        raise NotImplementedError

    def content_of(self, request: HttpRequest, owner: Any, tab: str) -> dict[str, Any]:
        """Return what the template of a tab of ``tabs`` needs."""
        raise NotImplementedError

    @property
    def desk(self) -> Any:
        """The admin of enrollments."""
        return self.admin_site.get_model_admin(StudentCourse)

    def enrollments_of(self, request: HttpRequest, owner: Any) -> StudentCourseQuerySet:
        return self.desk.get_queryset(request).filter(**{self.side: owner})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        owner = context["original"]
        if owner is not None and not context["is_popup"] and self.desk.has_view_permission(request):
            page = self.page_of(request, owner)
            media = context["media"] + page["box"].media if "box" in page else context["media"]  # each script once
            context = {**context, **page, "media": media}
        return super().render_change_form(request, context, *args, **kwargs)

    def page_of(self, request: HttpRequest, owner: Any) -> dict[str, Any]:
        tabs = self.tabs(request, owner)
        if request.user.has_perm("students.view_enrollmentevent"):
            tabs.append(Tab(TIMELINE, _("Timeline")))
        tabs.append(Tab(FORM, str(self.form_title)))
        wanted = FORM if request.method == "POST" else request.GET.get("tab")
        tab = next((each.name for each in tabs if each.name == wanted), tabs[0].name)
        page = {"tabs": tabs, "tab": tab, "panel": f"students/desk/{tab}.html", "side": self.side, "owner": owner}
        match tab:
            case "form":
                return page
            case "timeline":
                return page | self._timeline(request, owner)
        return page | self.content_of(request, owner, tab)

    def _timeline(self, request: HttpRequest, owner: Any) -> dict[str, Any]:
        # Their ids first: the database would else read the journal from its end until it has found enough.
        ids = list(self.enrollments_of(request, owner).order_by().values_list("pk", flat=True))
        events: QuerySet[EnrollmentEvent] = EnrollmentEvent.objects.filter(enrollment__pk__among=ids).order_by("-pk")
        for before in parse_ids(request.GET.get("before", "")):
            events = events.filter(pk__lt=before)
        shown = list(events.select_related("actor", "enrollment__student", "enrollment__course__term")[: EVENTS + 1])
        older = shown[EVENTS - 1].pk if len(shown) > EVENTS else None
        return {"events": shown[:EVENTS], "older": older}

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        """Come back to the form, where it is edited on."""
        answer = super().response_change(request, obj)
        if "_continue" in request.POST and isinstance(answer, HttpResponseRedirect):
            answer["Location"] += f"{'&' if '?' in answer.url else '?'}tab={FORM}"
        return answer


def can_see(request: HttpRequest, model: Any) -> bool:
    """Tell whether who asks may open pages of this model."""
    return bool(admin.site.get_model_admin(model).has_view_or_change_permission(request))
