"""Admin pages to send, preview, approve, watch and undo imports. No page waits for a whole file to be read."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from bulk.admin.forms import UploadForm
from bulk.files.csv_reader import MAX_COLUMNS, UnreadableFile
from bulk.importers.registry import kinds, parts_of, rights_of
from bulk.jobs.lifecycle import Order, SameAgain, approve, cancel, receive, start_undo
from bulk.jobs.worker import hand_over
from bulk.labels import word
from bulk.models import AT_WORK, UNDO, ZIP, Door, Import, State
from bulk.reports import Report
from bulk.row_results import Told, told_of
from school.access.access_log import Subject, record_export
from school.http.csv_response import csv_response
from school.i18n.stored_messages import figure, joined, spoken, unpacked
from school.observability.logging import current_request_id
from school.refusals import Refused, shortened

PROBLEMS_A_PAGE = 100
FIRST_ROWS = 5
MAX_SHOWN = 100  # characters of a cell
VERBS = ("approve", "cancel", "undo")


class KindFilter(admin.SimpleListFilter):
    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, word(name)) for name in (*kinds(), ZIP, UNDO)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Import)
class ImportAdmin(ModelAdmin):
    """Imports are created by an upload and changed by actions; they are never edited or deleted."""

    list_display = [
        "id",
        "kind_word",
        "file_name",
        "dataset",
        "state",
        "row_count",
        "error_rows",
        "actor",
        "created_at",
    ]
    list_filter = ["state", KindFilter, "door"]
    list_select_related = ["actor"]
    search_fields = ["file_name", "dataset"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Import | None = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        act = require_POST(self.act)
        own = [
            path("<id:pk>/live/", self.admin_site.admin_view(self.live), name="bulk_import_live"),
            path("<id:pk>/report/", self.admin_site.admin_view(self.report), name="bulk_import_report"),
            path("<id:pk>/failed-rows/", self.admin_site.admin_view(self.failed_rows), name="bulk_import_failed_rows"),
        ]
        own += [
            path(f"<id:pk>/{verb}/", self.admin_site.admin_view(act), {"verb": verb}, f"bulk_import_{verb}")
            for verb in VERBS
        ]
        return [*own, *super().get_urls()]

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def kind_word(self, job: Import) -> str:
        return word(job.kind)

    @admin.display(description=gettext_lazy("rows"), ordering="rows")
    def row_count(self, job: Import) -> str:
        return "–" if job.rows is None else figure(job.rows)

    @admin.display(description=gettext_lazy("errors"))
    def error_rows(self, job: Import) -> str:
        return figure(job.errors)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                job = receive(form.cleaned_data["file"], self._order(request, form), then=hand_over)
                return HttpResponseRedirect(reverse("admin:bulk_import_change", args=[job.pk]))
            except SameAgain as same:
                form.add_error("again", joined([str(same), _("Select this option to apply the file again.")]))
            except Refused as refused:
                for refusal in refused.refusals:
                    form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        context = {**self.admin_site.each_context(request), "title": _("Import a file"), "form": form}
        return render(request, "bulk/upload.html", {**context, "opts": self.opts})

    def _order(self, request: HttpRequest, form: UploadForm) -> Order:
        wish = form.cleaned_data
        rights = rights_of(wish["kind"]).items()
        return Order(
            door=Door.ADMIN,
            request_id=current_request_id(),
            file_name=wish["file"].name,
            options=form.options,
            rights=tuple(right for right, (_scope, permission) in rights if request.user.has_perm(permission)),
            actor=request.user,
            again=wish["again"],
            **{name: wish[name] for name in ("kind", "dataset", "mode", "scope", "on_error")},
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        job = self._found(request, object_id)
        problems = _Problems(job)
        context = {
            **self.admin_site.each_context(request),
            **self._context(job),
            "title": _("Import %(id)s") % {"id": job.pk},
            "opts": self.opts,
            "may_act": self.has_change_permission(request, job),
            "problems": Paginator(problems, PROBLEMS_A_PAGE).get_page(request.GET.get("page")),
            "first_rows": _first_rows(job) if job.state not in AT_WORK else [],
            "parts": _names_of_parts(job) if job.state not in AT_WORK else [],
            "undos": job.undone_by.order_by("pk"),
        }
        return render(request, "bulk/import.html", context)

    def _found(self, request: HttpRequest, object_id: Any) -> Import:
        job = self.get_object(request, str(object_id))
        if job is None:
            raise Http404
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        return job

    def _context(self, job: Import) -> dict[str, Any]:
        """Return the template context for the part of the page that is updated during the work."""
        return {
            "job": job,
            "rows_done": job.progress.rows,
            "is_at_work": job.state in AT_WORK,
            "problems_of_file": [_message_of(problem) for problem in job.problems],
            "warnings_of_file": [_message_of(warning) for warning in job.warnings],
            "counts": [(word(outcome), count) for outcome, count in sorted(job.counts.items())],
            "may_approve": job.state == State.NEEDS_REVIEW,
            "may_cancel": job.is_active,
            "may_undo": job.can_be_undone,
        }

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the part of the page that shows the progress of the import."""
        return render(request, "bulk/live.html", self._context(self._found(request, pk)))

    def act(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Approve, cancel or undo an import."""
        job = self._found(request, pk)
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        try:
            job = self._done(request, job, verb)
        except Refused as refused:
            messages.error(request, str(refused))
        return HttpResponseRedirect(reverse("admin:bulk_import_change", args=[job.pk]))

    def _done(self, request: HttpRequest, job: Import, verb: str) -> Import:
        match verb:
            case "approve":
                return approve(job.pk, actor=request.user, then=hand_over)
            case "cancel":
                return cancel(job.pk)
            case _:
                return start_undo(
                    job.pk, door=Door.ADMIN, request_id=current_request_id(), actor=request.user, then=hand_over
                )

    def report(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Return every row with its result, as CSV."""
        return self._download(request, self._found(request, pk), Report.as_csv, "report")

    def failed_rows(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Return the rows with errors, with their original cells, as CSV."""
        return self._download(request, self._found(request, pk), Report.failed_as_csv, "failed-rows")

    def _download(
        self, request: HttpRequest, job: Import, lines: Callable[[Report], Iterator[str]], name: str
    ) -> StreamingHttpResponse:
        try:
            wanted = request.GET.get("part", "")
            reports = [Report(job, part) for part in parts_of(job) if part.name == wanted]
        except UnreadableFile:
            raise Http404 from None
        if not reports:
            raise Http404
        record_export(request, Subject.IMPORT, file_import_id=job.pk)
        content = (line for report in reports for line in lines(report))
        return csv_response(content, f"import-{job.pk}-{name}.csv", has_mark=True)


class _Problems(Sequence[Told]):
    """All results with errors, for the paginator; without the cells of the rows, which are in the file."""

    def __init__(self, job: Import) -> None:
        self.job = job

    def __len__(self) -> int:
        return self.job.errors + int(self.job.counts.get("kept", 0))

    def __getitem__(self, wanted: Any) -> Any:
        found = (told for told in told_of(self.job) if told.errors)
        return [_spoken(told) for told in islice(found, wanted.start, wanted.stop)]


def _spoken(told: Told) -> Told:
    """Return a stored result with its messages in the current language."""
    errors = [(code, field, spoken(message)) for code, field, message in told.errors]
    return told._replace(errors=errors, note=spoken(told.note))


def _message_of(problem: dict[str, Any]) -> str:
    return spoken(unpacked(problem["message"], problem.get("parts")))


def _names_of_parts(job: Import) -> list[str]:
    try:
        return [part.name for part in parts_of(job)]
    except UnreadableFile:
        return []


def _first_rows(job: Import) -> list[dict[str, Any]]:
    """Return the first rows with each outcome near the top of the file, with their cells."""
    try:
        reports = [Report(job, part) for part in parts_of(job)]
    except UnreadableFile:
        return []
    shown = []
    for report in reports:
        for outcome in sorted(job.counts):
            rows = [
                {"told": _spoken(row.told), "raw": _shown(row.raw)}
                for row in islice(report.near_the_top(outcome), FIRST_ROWS)
            ]
            if rows:
                shown.append(
                    {
                        "outcome": word(outcome),
                        "part": report.part.name,
                        "header": _shown(report.source.header),
                        "rows": rows,
                    }
                )
    return shown


def _shown(cells: list[str]) -> list[str]:
    """Return the cells of a row, cut for the page: a row may have half a million cells, or one of 100 kB."""
    return [shortened(cell, MAX_SHOWN) for cell in cells[:MAX_COLUMNS]]
