"""
The base class of the admin pages of a student and a course, with tabs.

Each tab has a URL with ``?tab=``.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin

from school.identifiers import parse_ids
from students.models import EnrollmentEvent, StudentCourse, StudentCourseQuerySet

FORM_TAB, TIMELINE_TAB = "form", "timeline"
EVENTS_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Tab:
    name: str
    title: str
    count: int | None = None
    url: str = ""  # empty, unless the tab is a page of its own


class TabbedPage(SimpleHistoryAdmin, ModelAdmin):
    """
    Shows enrollments, their timeline, and the form of the object, each in its own tab.

    The permissions to see and to change enrollments are those of the enrollment admin, so that only one place decides.
    """

    change_form_template: Any = "students/pages/tabbed_page.html"
    enrollment_field: str  # the field of an enrollment for the object: "student" or "course"
    form_title: Any

    def tabs(self, request: HttpRequest, obj: Any) -> list[Tab]:
        """Return the tabs other than the form and the timeline."""
        raise NotImplementedError

    def header_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return the template context of the header of the page, with ``header_template``."""
        raise NotImplementedError

    def tab_context(self, request: HttpRequest, obj: Any, tab: str) -> dict[str, Any]:
        """Return the template context of one of ``tabs``."""
        raise NotImplementedError

    @property
    def enrollment_admin(self) -> Any:
        """The enrollment admin."""
        return self.admin_site.get_model_admin(StudentCourse)

    def enrollments_of(self, request: HttpRequest, obj: Any) -> StudentCourseQuerySet:
        return self.enrollment_admin.get_queryset(request).filter(**{self.enrollment_field: obj})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        obj = context["original"]
        if obj is not None and not context["is_popup"] and self.enrollment_admin.has_view_permission(request):
            page = self.page_context(request, obj)
            media = context["media"]
            if "enroll_form" in page:
                media += page["enroll_form"].media  # combined, so that each script is in the page once
            context = {**context, **page, "media": media}
        return super().render_change_form(request, context, *args, **kwargs)

    def all_tabs(self, request: HttpRequest, obj: Any) -> list[Tab]:
        tabs = self.tabs(request, obj)
        if request.user.has_perm("students.view_enrollmentevent"):
            tabs.append(Tab(TIMELINE_TAB, _("Timeline")))
        return [*tabs, Tab(FORM_TAB, str(self.form_title))]

    def page_url(self, obj: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk])

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        tabs = self.all_tabs(request, obj)
        requested_tab = FORM_TAB if request.method == "POST" else request.GET.get("tab")
        tab = next((each.name for each in tabs if each.name == requested_tab and not each.url), tabs[0].name)
        page = {
            **self.header_context(request, obj),
            "tabs": tabs,
            "tab": tab,
            "page_url": self.page_url(obj),
            "tab_template": f"students/pages/{tab}.html",
            "enrollment_field": self.enrollment_field,
            "obj": obj,
        }
        match tab:
            case "form":
                return page
            case "timeline":
                return page | self._timeline(request, obj)
        return page | self.tab_context(request, obj, tab)

    def _timeline(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        # Ids are read first: otherwise the database would scan the journal from its end until it has enough entries.
        ids = list(self.enrollments_of(request, obj).order_by().values_list("pk", flat=True))
        events: QuerySet[EnrollmentEvent] = EnrollmentEvent.objects.filter(enrollment__pk__any_of=ids)
        for before in events.filter(pk__in=parse_ids(request.GET.get("before", ""))):
            events = events.filter(Q(at__lt=before.at) | Q(at=before.at, pk__lt=before.pk))
        events = events.order_by("-at", "-pk")
        events = events.select_related("actor", "enrollment__student", "enrollment__course__term")
        page = list(events[: EVENTS_PER_PAGE + 1])
        older = page[EVENTS_PER_PAGE - 1].pk if len(page) > EVENTS_PER_PAGE else None
        return {"events": page[:EVENTS_PER_PAGE], "older": older}

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        """Return to the tab of the form if the user continues editing."""
        response = super().response_change(request, obj)
        if "_continue" in request.POST and isinstance(response, HttpResponseRedirect):
            response["Location"] += f"{'&' if '?' in response.url else '?'}tab={FORM_TAB}"
        return response


def can_view(request: HttpRequest, model: Any) -> bool:
    """Return True if the user may view the admin pages of this model."""
    return bool(admin.site.get_model_admin(model).has_view_or_change_permission(request))
