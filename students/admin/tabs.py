"""The base class of the admin pages of a student and a course, with tabs. Each tab has a URL with ``?tab=``."""

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
    Shows enrollments, their timeline, and the form of the object, each in its own tab.

    The permissions to see and to change enrollments are those of the enrollment admin, so that only one place decides.
    """

    change_form_template: Any = "students/desk/page.html"
    side: str  # the field of an enrollment for the object: "student" or "course"
    form_title: Any

    def tabs(self, request: HttpRequest, owner: Any) -> list[Tab]:
        """Return the tabs other than the form and the timeline."""
        raise NotImplementedError

    def content_of(self, request: HttpRequest, owner: Any, tab: str) -> dict[str, Any]:
        """Return the template context of one of ``tabs``."""
        raise NotImplementedError

    @property
    def desk(self) -> Any:
        """The enrollment admin."""
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
        # Ids are read first: otherwise the database would scan the journal from its end until it has enough entries.
        ids = list(self.enrollments_of(request, owner).order_by().values_list("pk", flat=True))
        events: QuerySet[EnrollmentEvent] = EnrollmentEvent.objects.filter(enrollment__pk__any_of=ids).order_by("-pk")
        for before in parse_ids(request.GET.get("before", "")):
            events = events.filter(pk__lt=before)
        shown = list(events.select_related("actor", "enrollment__student", "enrollment__course__term")[: EVENTS + 1])
        older = shown[EVENTS - 1].pk if len(shown) > EVENTS else None
        return {"events": shown[:EVENTS], "older": older}

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        """Return to the tab of the form if the user continues editing."""
        answer = super().response_change(request, obj)
        if "_continue" in request.POST and isinstance(answer, HttpResponseRedirect):
            answer["Location"] += f"{'&' if '?' in answer.url else '?'}tab={FORM}"
        return answer


def can_see(request: HttpRequest, model: Any) -> bool:
    """Return True if the user may open the admin pages of this model."""
    return bool(admin.site.get_model_admin(model).has_view_or_change_permission(request))
