"""
Admin pages to submit, preview, approve, follow and undo imports.

No page waits for a whole file to be read.
"""

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
from bulk.importers.registry import importer_classes, parts_of, rights_of
from bulk.jobs.lifecycle import AlreadyApplied, ImportRequest, approve, cancel, start_undo, submit
from bulk.jobs.worker import enqueue
from bulk.labels import translated_label
from bulk.models import PROCESSING_STATES, UNDO, ZIP, Import, ImportChannel, State
from bulk.reports import Report
from bulk.row_results import StoredResult, stored_results
from school.access.access_log import Subject, record_export
from school.http.csv_response import csv_response
from school.i18n.stored_messages import format_count, from_stored, join_messages, translate_stored
from school.observability.logging import current_request_id
from school.refusals import Refused, shorten

PROBLEMS_PER_PAGE = 100
SAMPLE_ROWS = 5
MAX_CELL_LENGTH = 100  # characters of a cell
ACTIONS = ("approve", "cancel", "undo")


class KindFilter(admin.SimpleListFilter):
    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, translated_label(name)) for name in (*importer_classes(), ZIP, UNDO)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Import)
class ImportAdmin(ModelAdmin):
    """Imports are created by an upload and changed by actions; they are never edited or deleted."""

    list_display = [
        "id",
        "kind_label",
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
        run_action = require_POST(self.run_action)
        urls = [
            path("<id:pk>/live/", self.admin_site.admin_view(self.progress), name="bulk_import_live"),
            path("<id:pk>/report/", self.admin_site.admin_view(self.report), name="bulk_import_report"),
            path("<id:pk>/failed-rows/", self.admin_site.admin_view(self.failed_rows), name="bulk_import_failed_rows"),
        ]
        urls += [
            path(
                f"<id:pk>/{action}/",
                self.admin_site.admin_view(run_action),
                {"action": action},
                f"bulk_import_{action}",
            )
            for action in ACTIONS
        ]
        return [*urls, *super().get_urls()]

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def kind_label(self, job: Import) -> str:
        return translated_label(job.kind)

    @admin.display(description=gettext_lazy("rows"), ordering="rows")
    def row_count(self, job: Import) -> str:
        return "–" if job.rows is None else format_count(job.rows)

    @admin.display(description=gettext_lazy("errors"))
    def error_rows(self, job: Import) -> str:
        return format_count(job.errors)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                job = submit(form.cleaned_data["file"], self._import_request(request, form), dispatch=enqueue)
                return HttpResponseRedirect(reverse("admin:bulk_import_change", args=[job.pk]))
            except AlreadyApplied as duplicate:
                form.add_error(
                    "again", join_messages([str(duplicate), _("Select this option to apply the file again.")])
                )
            except Refused as refused:
                for refusal in refused.refusals:
                    form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        context = {**self.admin_site.each_context(request), "title": _("Import a file"), "form": form}
        return render(request, "bulk/import_upload.html", {**context, "opts": self.opts})

    def _import_request(self, request: HttpRequest, form: UploadForm) -> ImportRequest:
        data = form.cleaned_data
        rights = rights_of(data["kind"]).items()
        return ImportRequest(
            channel=ImportChannel.ADMIN,
            request_id=current_request_id(),
            file_name=data["file"].name,
            options=form.options,
            rights=tuple(name for name, (_scope, permission) in rights if request.user.has_perm(permission)),
            actor=request.user,
            again=data["again"],
            **{name: data[name] for name in ("kind", "dataset", "mode", "scope", "on_error")},
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        job = self._get_import(request, object_id)
        failed_results = _FailedResults(job)
        context = {
            **self.admin_site.each_context(request),
            **self._progress_context(job),
            "title": _("Import %(id)s") % {"id": job.pk},
            "opts": self.opts,
            "can_change": self.has_change_permission(request, job),
            "problems": Paginator(failed_results, PROBLEMS_PER_PAGE).get_page(request.GET.get("page")),
            "samples": _sample_rows(job) if job.state not in PROCESSING_STATES else [],
            "parts": _part_names(job) if job.state not in PROCESSING_STATES else [],
            "undos": job.undone_by.order_by("pk"),
        }
        return render(request, "bulk/import_detail.html", context)

    def _get_import(self, request: HttpRequest, object_id: Any) -> Import:
        job = self.get_object(request, str(object_id))
        if job is None:
            raise Http404
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        return job

    def _progress_context(self, job: Import) -> dict[str, Any]:
        """Return the template context for the part of the page that is updated during the work."""
        return {
            "job": job,
            "rows_done": job.progress.rows,
            "is_processing": job.state in PROCESSING_STATES,
            "file_problems": [_translated_message(problem) for problem in job.problems],
            "file_warnings": [_translated_message(warning) for warning in job.warnings],
            "counts": [(translated_label(outcome), count) for outcome, count in sorted(job.counts.items())],
            "can_approve": job.state == State.NEEDS_REVIEW,
            "can_cancel": job.is_active,
            "can_undo": job.can_be_undone,
        }

    def progress(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the part of the page that shows the progress of the import."""
        return render(request, "bulk/import_progress.html", self._progress_context(self._get_import(request, pk)))

    def run_action(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Approve, cancel or undo an import."""
        job = self._get_import(request, pk)
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        try:
            job = self._perform(request, job, action)
        except Refused as refused:
            messages.error(request, str(refused))
        return HttpResponseRedirect(reverse("admin:bulk_import_change", args=[job.pk]))

    def _perform(self, request: HttpRequest, job: Import, action: str) -> Import:
        match action:
            case "approve":
                return approve(job.pk, actor=request.user, dispatch=enqueue)
            case "cancel":
                return cancel(job.pk)
            case _:
                return start_undo(
                    job.pk,
                    channel=ImportChannel.ADMIN,
                    request_id=current_request_id(),
                    actor=request.user,
                    dispatch=enqueue,
                )

    def report(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Return every row with its result, as CSV."""
        return self._download(request, self._get_import(request, pk), Report.as_csv, "report")

    def failed_rows(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Return the rows with errors, with their original cells, as CSV."""
        return self._download(request, self._get_import(request, pk), Report.failed_as_csv, "failed-rows")

    def _download(
        self, request: HttpRequest, job: Import, to_csv: Callable[[Report], Iterator[str]], name: str
    ) -> StreamingHttpResponse:
        try:
            part_name = request.GET.get("part", "")
            reports = [Report(job, part) for part in parts_of(job) if part.name == part_name]
        except UnreadableFile:
            raise Http404 from None
        if not reports:
            raise Http404
        record_export(request, Subject.IMPORT, file_import_id=job.pk)
        content = (line for report in reports for line in to_csv(report))
        return csv_response(content, f"import-{job.pk}-{name}.csv", with_bom=True)


class _FailedResults(Sequence[StoredResult]):
    """All results with errors, for the paginator; without the cells of the rows, which are in the file."""

    def __init__(self, job: Import) -> None:
        self.job = job

    def __len__(self) -> int:
        return self.job.errors + int(self.job.counts.get("kept", 0))

    def __getitem__(self, page: Any) -> Any:
        failed = (result for result in stored_results(self.job) if result.errors)
        return [_translated(result) for result in islice(failed, page.start, page.stop)]


def _translated(result: StoredResult) -> StoredResult:
    """Return a stored result with its messages in the current language."""
    errors = [(code, field, translate_stored(message)) for code, field, message in result.errors]
    return result._replace(errors=errors, note=translate_stored(result.note))


def _translated_message(problem: dict[str, Any]) -> str:
    return translate_stored(from_stored(problem["message"], problem.get("parts")))


def _part_names(job: Import) -> list[str]:
    try:
        return [part.name for part in parts_of(job)]
    except UnreadableFile:
        return []


def _sample_rows(job: Import) -> list[dict[str, Any]]:
    """Return the first rows with each outcome near the top of the file, with their cells."""
    try:
        reports = [Report(job, part) for part in parts_of(job)]
    except UnreadableFile:
        return []
    samples = []
    for report in reports:
        for outcome in sorted(job.counts):
            rows = [
                {"result": _translated(row.result), "raw": _truncated(row.raw)}
                for row in islice(report.preview_rows(outcome), SAMPLE_ROWS)
            ]
            if rows:
                samples.append(
                    {
                        "outcome": translated_label(outcome),
                        "part": report.part.name,
                        "header": _truncated(report.source.header),
                        "rows": rows,
                    }
                )
    return samples


def _truncated(cells: list[str]) -> list[str]:
    """Return the cells of a row, cut for the page: a row may have half a million cells, or one of 100 kB."""
    return [shorten(cell, MAX_CELL_LENGTH) for cell in cells[:MAX_COLUMNS]]
