"""API views to send, list, approve, cancel and undo imports, and to read their reports."""

import hashlib
import json
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from django.conf import settings
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from bulk.api.filters import ImportFilter
from bulk.api.parsers import CsvParser, FormParser, ZipParser
from bulk.api.serializers import (
    ApprovalSerializer,
    CancellationSerializer,
    ImportRequestSerializer,
    ImportSerializer,
    ReportRowSerializer,
    UndoSerializer,
)
from bulk.api.uploads import file_and_fields
from bulk.files.csv_reader import UnreadableFile
from bulk.import_file_store import sha256_of
from bulk.importers.import_parts import ImportPart, parts_of
from bulk.importers.registry import rights_of
from bulk.jobs.import_actions import approve, cancel, start_undo
from bulk.jobs.submission import AlreadyApplied, ImportRequest, submit
from bulk.models import PROCESSING_STATES, Import, ImportChannel
from bulk.reports import Report
from bulk.row_results import ERROR
from school.access.access_log import Subject, record_export
from school.api.base_views import RowScopeMixin
from school.api.csv_renderer import BOM_OPENAPI_PARAMETER, BOM_PARAMETER, CsvRenderer, wants_bom
from school.api.idempotency import idempotent
from school.api.list_and_retrieve import ConditionalReadMixin
from school.api.permissions import is_permitted, service_account_of
from school.api.query_parameters import StrictQueryMixin
from school.http.csv_response import csv_response
from school.observability.logging import current_request_id
from school.refusals import Refusal, Refused

PART_PARAMETER = [
    OpenApiParameter(
        "part",
        str,
        enum=[*settings.IMPORT_KINDS],
        description="The file of a zip import: terms, students, courses or enrollments.",
    )
]
REPORT_RESPONSES = {
    (200, "application/json"): ReportRowSerializer(many=True),
    (200, "text/csv"): OpenApiTypes.STR,
}


class BaseImportViewSet(RowScopeMixin, StrictQueryMixin, GenericViewSet[Import]):
    scope = "imports"
    permission_model = Import
    queryset = Import.objects.select_related("actor", "approved_by", "progress")
    serializer_class = ImportSerializer

    def get_queryset(self) -> QuerySet[Import]:
        """Return the imports that the caller may see: an API client sees only its own."""
        imports: Any = super().get_queryset()
        visible: QuerySet[Import] = (
            imports if self.client_account_id is None else imports.visible_to_client(self.client_account_id)
        )
        return visible

    @property
    def client_account_id(self) -> Any:
        """The account id of the calling API client, None for staff. In compiled queries this id is a parameter."""
        account = service_account_of(self.request)
        return None if account is None else account.pk

    def import_response(self, job: Import, status: int) -> Response:
        """Return a response with the current state of an import, and with its URL in the header ``Location``."""
        job = self.get_queryset().get(pk=job.pk)
        return Response(ImportSerializer(job).data, status, headers={"Location": self.url_of(job.pk)})

    def url_of(self, import_id: int) -> str:
        return self.request.build_absolute_uri(reverse("import", args=[import_id]))

    def handle_exception(self, exc: Exception) -> Response:
        """Add the URL of the other import that causes a refusal as ``Location``, if the caller may see that import."""
        response = super().handle_exception(exc)
        other = exc.refusals[0].members.get("import") if isinstance(exc, Refused) else None
        if other and self.get_queryset().filter(pk=other).exists():
            response["Location"] = self.url_of(other)
        return response


class ImportViewSet(ConditionalReadMixin, BaseImportViewSet):
    """The list of imports, the newest first, and a single import; and the action that sends a file."""

    filterset_class = ImportFilter
    ordering_fields = {"id": "id", "created_at": "created_at"}
    ordering = "-id"
    parser_classes = [FormParser, CsvParser, ZipParser]
    more_problems = {"POST": {404}}  # a term or a course in the options does not exist

    def allowed_parameters(self) -> set[str] | None:
        """Return None for ``create``: its query may have options, which ``ImportRequestSerializer`` checks."""
        return None if self.action == "create" else super().allowed_parameters()

    @property
    def client_account_id(self) -> Any:
        return None if super().client_account_id is None else self.parameter("client")

    def query_cache_key(self) -> Hashable:
        return super().client_account_id is not None

    def parameter_values(self) -> dict[str, Any]:
        return {"client": super().client_account_id}

    def get_object(self) -> Import:
        return get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])

    @extend_schema(
        request={
            "multipart/form-data": ImportRequestSerializer,
            "text/csv": OpenApiTypes.BINARY,
            "application/zip": OpenApiTypes.BINARY,
        },
        responses={
            202: ImportSerializer,
            200: OpenApiResponse(ImportSerializer, "The file was applied last, and is not again"),
        },
    )
    def create(self, request: Request) -> Any:
        """
        Send a file, as a field of a form, or as the body with its options in the query.

        A worker processes the file in the background: poll the import until its state says that it waits for review or
        has ended.
        """
        source, _name, _fields = file_and_fields(request)
        with source:  # the file is closed even if a repeated request gets its stored answer
            return self._create(request)

    create.takes_idempotency_key = True  # type: ignore[attr-defined]  # for the OpenAPI document

    @idempotent
    def _create(self, request: Request) -> Response:
        return self._submit(*file_and_fields(request))

    def fingerprint_of(self, request: Request) -> str:
        """Return a hash of an upload: its file, name, options and URL, regardless of how the body encodes them."""
        source, name, fields = file_and_fields(request)
        parts = [request.get_full_path(), name, sorted((key, str(value)) for key, value in fields.items())]
        return hashlib.sha256(json.dumps([*parts, sha256_of(source)]).encode()).hexdigest()

    def _submit(self, source: BinaryIO, name: str, fields: dict[str, Any]) -> Response:
        request = self.request
        serializer = ImportRequestSerializer(data=fields)
        del serializer.fields["file"]  # the serializer does not validate the file
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        rights = rights_of(data["kind"]).items()
        import_request = ImportRequest(
            channel=ImportChannel.API,
            request_id=current_request_id(),
            file_name=name,
            options=serializer.options,
            rights=tuple(name for name, (scope, permission) in rights if is_permitted(request, scope, permission)),
            actor=request.user,
            client=service_account_of(request),
            again=data["again"],
            **{field: data[field] for field in ("kind", "dataset", "mode", "scope", "on_error", "review")},
        )
        try:
            return self._submit_request(source, import_request)
        except AlreadyApplied as duplicate:
            if self.get_queryset().filter(pk=duplicate.earlier.pk).exists():
                return self.import_response(duplicate.earlier, 200)
        # Do not name the earlier import, because this caller may not see it.
        return self._submit_request(source, replace(import_request, again=True))

    def _submit_request(self, source: BinaryIO, import_request: ImportRequest) -> Response:
        return self.import_response(submit(source, import_request), 202)


class ImportReportViewSet(BaseImportViewSet):
    """Streams the result of each row: JSON, or CSV if the Accept header asks for it."""

    renderer_classes = [JSONRenderer, CsvRenderer]
    pagination_class = None  # without pages: the response is a stream of all rows

    def allowed_parameters(self) -> set[str]:
        return {"part", BOM_PARAMETER}

    @extend_schema(parameters=[*PART_PARAMETER, BOM_OPENAPI_PARAMETER], responses=REPORT_RESPONSES)
    def report(self, request: Request, pk: int) -> StreamingHttpResponse:
        """
        Return every row with its original cells and its result.

        While the import is being processed, return the rows that are processed so far.
        """
        return self._stream(Report.as_csv, lambda report: report.as_json_rows(), "report")

    @extend_schema(parameters=[*PART_PARAMETER, BOM_OPENAPI_PARAMETER], responses=REPORT_RESPONSES)
    def failed_rows(self, request: Request, pk: int) -> StreamingHttpResponse:
        """Return the rows with errors. The CSV has their original cells, to be corrected and sent again."""
        return self._stream(Report.failed_as_csv, lambda report: report.as_json_rows(outcome=ERROR), "failed-rows")

    def _stream(
        self,
        as_csv: Callable[[Report], Iterator[str]],
        as_json_rows: Callable[[Report], Iterator[str]],
        name: str,
    ) -> StreamingHttpResponse:
        job = get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])
        reports = [Report(job, part) for part in self._parts(job)]
        with_bom = wants_bom(self.request)
        is_csv = self.request.accepted_renderer.format == CsvRenderer.format
        if is_csv and len(reports) > 1:
            raise ValidationError(
                {"part": [ErrorDetail(_("A CSV report has one part only. Add the parameter part."), code="required")]}
            )
        record_export(self.request, Subject.IMPORT, file_import_id=job.pk)
        if is_csv:
            lines = (line for report in reports for line in as_csv(report))
            return csv_response(lines, f"import-{job.pk}-{name}.csv", with_bom=with_bom)
        return StreamingHttpResponse(_json_array(reports, as_json_rows), content_type="application/json")

    def _parts(self, job: Import) -> list[ImportPart]:
        """
        Return the requested parts; raise ``Refused`` for an unreadable file, ``ValidationError`` for an unknown part.
        """
        part_name = self.request.query_params.get("part")
        try:
            parts = parts_of(job)
            requested = [part for part in parts if part_name is None or (part_name and part_name == part.name)]
            for part in requested:
                part.importer.source()
        except UnreadableFile as error:
            raise Refused([Refusal("import_not_possible", str(error))]) from None
        if not requested:
            message = _("%(part)s is not one of: %(parts)s.") % {
                "part": part_name,
                "parts": ", ".join(p.name for p in parts),
            }
            raise ValidationError({"part": [ErrorDetail(message, code="invalid_choice")]})
        return requested


def _json_array(reports: list[Report], as_json_rows: Callable[[Report], Iterator[str]]) -> Iterator[str]:
    prefix = "["
    for report in reports:
        for text in as_json_rows(report):
            yield prefix + text
            prefix = ","
    yield "]" if prefix == "," else "[]"


class ImportActionsViewSet(BaseImportViewSet):
    """The actions on an existing import."""

    body_is_optional = True
    method_permissions = {"POST": "change"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # The caller may request the actions for any import.
        get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])

    @extend_schema(request=ApprovalSerializer, responses={202: ImportSerializer})
    def approve(self, request: Request, pk: int) -> Response:
        """
        Apply an import that waits for review.

        If its outcomes differ from the reviewed ones by then, it waits for review again.
        """
        on_error = self._validated_body(ApprovalSerializer).get("on_error", "")
        return self.import_response(approve(pk, actor=request.user, on_error=on_error), 202)

    @extend_schema(request=CancellationSerializer, responses={200: ImportSerializer, 202: ImportSerializer})
    def cancel(self, request: Request, pk: int) -> Response:
        """Stop an import: 200 if it has stopped, 202 if it will stop. Chunks that are applied by then stay applied."""
        self._validated_body(CancellationSerializer)
        job = cancel(pk)
        return self.import_response(job, 202 if job.state in PROCESSING_STATES else 200)

    @extend_schema(request=UndoSerializer, responses={202: ImportSerializer})
    def undo(self, request: Request, pk: int) -> Response:
        """Undo an import, row by row. Returns the import that performs the undo."""
        dry_run = self._validated_body(UndoSerializer)["dry_run"]
        job = start_undo(
            pk,
            channel=ImportChannel.API,
            request_id=current_request_id(),
            actor=request.user,
            dry_run=dry_run,
        )
        return self.import_response(job, 202)

    def _validated_body(self, serializer_class: Any) -> dict[str, Any]:
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        return validated
