"""
Admin pages to submit, preview, approve, follow and undo imports.

No page waits for a whole file to be read.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from bulk.admin.forms import UploadForm
from bulk.admin.row_table import row_table
from bulk.files.csv_reader import UnreadableFile
from bulk.importers.import_parts import parts_of
from bulk.importers.registry import importer_classes, rights_of
from bulk.jobs.import_actions import approve, cancel, start_undo
from bulk.jobs.submission import AlreadyApplied, ImportRequest, submit
from bulk.models import (
    FINISHED_STATES,
    PROCESSING_STATES,
    UNDO,
    ZIP,
    Import,
    ImportChannel,
    OnError,
    Review,
    State,
)
from bulk.outcome_sentences import summary
from bulk.reports import Report
from bulk.row_results import ERROR, KEPT, KEPT_OUTCOMES, SKIPPED
from bulk.translated_labels import translated_label
from school.access.access_log import Subject, record_export
from school.admin_site.list_page import badge, short_date
from school.http.csv_response import csv_response
from school.i18n.stored_messages import format_count, from_stored, join_messages, translate_stored
from school.observability.logging import current_request_id
from school.refusals import Refused

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
        "title",
        "kind_label",
        "state_badge",
        "row_count",
        "error_rows",
        "actor",
        "created",
        "dataset",
        "id",
    ]
    list_filter = ["state", KindFilter, "door"]
    list_select_related = ["actor"]
    search_fields = ["file_name", "dataset"]
    empty_hint = gettext_lazy("A file of students, courses or enrollments is previewed before it is applied.")
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Import | None = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        run_action = require_POST(self.run_action)
        urls = [
            path("template-<slug:kind>.csv", self.admin_site.admin_view(self.template), name="bulk_import_template"),
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

    @admin.display(description=gettext_lazy("file"), ordering="file_name")
    def title(self, job: Import) -> str:
        return job.file_name or _("Import %(id)s") % {"id": job.pk}

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_badge(self, job: Import) -> str:
        return badge(job.state, job.get_state_display())

    @admin.display(description=gettext_lazy("sent"), ordering="id")
    def created(self, job: Import) -> str:
        return short_date(job.created_at)

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
        form = UploadForm(request.POST or None, request.FILES or None, user_id=request.user.pk)
        if request.method == "POST" and form.is_valid():
            try:
                job = submit(form.cleaned_data["file"], self._import_request(request, form))
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
            on_error=OnError.SKIP,  # what happens to rows with errors is chosen at the approval
            **{name: data[name] for name in ("kind", "dataset", "mode", "scope")},
        )

    def template(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Return a CSV file with the usual columns of a kind of file, and an example row."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        importer = importer_classes().get(kind)
        if importer is None:
            raise Http404
        lines = (",".join(cells) + "\r\n" for cells in (importer.example, importer.example.values()))
        return csv_response(lines, f"{kind}.csv", with_bom=True)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        job = self._get_import(request, object_id)
        query = request.GET
        is_processing = job.state in PROCESSING_STATES
        table = None if is_processing else row_table(job, query.get("part", ""), query.get("show"), query.get("page"))
        context = {
            **self.admin_site.each_context(request),
            **self._progress_context(job),
            "title": _("Undo of import %(id)s") % {"id": job.undoes_id} if job.kind == UNDO else self.title(job),
            "opts": self.opts,
            "can_change": self.has_change_permission(request, job),
            "table": table,
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
            "summary": summary(job.counts, is_preview=job.checkpoint == 0 and job.state not in FINISHED_STATES),
            "is_undo": job.kind == UNDO,
            "good_rows": _good_rows(job),
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
                on_error = request.POST.get("on_error", "")
                on_error = on_error if on_error in OnError.values else ""
                return approve(job.pk, actor=request.user, on_error=on_error)
            case "cancel":
                return cancel(job.pk)
            case _:
                return start_undo(
                    job.pk,
                    channel=ImportChannel.ADMIN,
                    request_id=current_request_id(),
                    actor=request.user,
                    review=Review.ALWAYS,
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


def _translated_message(problem: dict[str, Any]) -> str:
    return translate_stored(from_stored(problem["message"], problem.get("parts")))


def _good_rows(job: Import) -> int:
    """Return the number of rows that an approval applies."""
    counts = Counter(job.counts)
    return counts.total() - sum(counts[outcome] for outcome in (ERROR, KEPT, SKIPPED, *KEPT_OUTCOMES))
