"""API views to send, list, approve, cancel and undo imports, and to read their reports."""

import hashlib
import json
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

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
from bulk.api.parsers import CsvParser, FormParser, ZipParser, file_and_fields
from bulk.api.serializers import (
    ApprovalSerializer,
    ImportSerializer,
    OrderSerializer,
    ReportRowSerializer,
    UndoSerializer,
)
from bulk.file_store import hash_of
from bulk.files.csv_reader import UnreadableFile
from bulk.importers.part import Part
from bulk.importers.registry import parts_of, rights_of
from bulk.jobs.lifecycle import Order, SameAgain, approve, cancel, receive, start_undo
from bulk.jobs.worker import hand_over
from bulk.models import AT_WORK, Door, Import
from bulk.outcomes import ERROR
from bulk.reports import Report
from school.access.access_log import Subject, record_export
from school.api.idempotency import idempotent
from school.api.permissions import client_of, may
from school.api.query_parameters import StrictQuery
from school.api.renderers import MARK, MARK_PARAMETER, CsvRenderer, wants_mark
from school.api.row_responses import ConditionalReads
from school.api.views import WithinLimits
from school.http.csv_response import csv_response
from school.observability.logging import current_request_id
from school.refusals import Refusal, Refused

PART = [
    OpenApiParameter(
        "part",
        str,
        enum=["students", "courses", "enrollments"],
        description="The file of a zip import: students, courses or enrollments.",
    )
]
REPORT = {
    (200, "application/json"): ReportRowSerializer(many=True),
    (200, "text/csv"): OpenApiTypes.STR,
}


class Imports(WithinLimits, StrictQuery, GenericViewSet[Import]):
    scope = "imports"
    permission_model = Import
    queryset = Import.objects.select_related("actor", "approved_by", "progress")
    serializer_class = ImportSerializer

    def get_queryset(self) -> QuerySet[Import]:
        """Return the imports that the caller may see: an API client sees only its own."""
        imports: Any = super().get_queryset()
        visible: QuerySet[Import] = imports if self.client is None else imports.visible_to_client(self.client)
        return visible

    @property
    def client(self) -> Any:
        """The account id of the calling API client, None for staff. Compiled queries have it as a parameter."""
        account = client_of(self.request)
        return None if account is None else account.pk

    def answer(self, job: Import, status: int) -> Response:
        """Return a response with the current state of an import, and with its URL in the header ``Location``."""
        job = self.get_queryset().get(pk=job.pk)
        return Response(ImportSerializer(job).data, status, headers={"Location": self.address_of(job.pk)})

    def address_of(self, import_id: int) -> str:
        return self.request.build_absolute_uri(reverse("import", args=[import_id]))

    def handle_exception(self, exc: Exception) -> Response:
        """Add the URL of the other import that causes a refusal as ``Location``, if the caller may see that import."""
        response = super().handle_exception(exc)
        other = exc.refusals[0].members.get("import") if isinstance(exc, Refused) else None
        if other and self.get_queryset().filter(pk=other).exists():
            response["Location"] = self.address_of(other)
        return response


class ImportViewSet(ConditionalReads, Imports):
    """Imports, the newest first: the file that was sent, its state and its counts."""

    filterset_class = ImportFilter
    ordering_fields = {"id": "id", "created_at": "created_at"}
    ordering = "-id"
    parser_classes = [FormParser, CsvParser, ZipParser]
    more_problems = {"POST": {404}}  # a term or a course in the options is not found

    def query_names(self) -> set[str] | None:
        """Return None for ``create``: the query may have the options of the file, which ``OrderSerializer`` checks."""
        return None if self.action == "create" else super().query_names()

    @property
    def client(self) -> Any:
        return None if super().client is None else self.parameter("client")

    def kept_shape(self) -> Hashable:
        return super().client is not None

    def parameter_values(self) -> dict[str, Any]:
        return {"client": super().client}

    def get_object(self) -> Import:
        return get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])

    @extend_schema(
        request={
            "multipart/form-data": OrderSerializer,
            "text/csv": OpenApiTypes.BINARY,
            "application/zip": OpenApiTypes.BINARY,
        },
        responses={
            202: ImportSerializer,
            200: OpenApiResponse(ImportSerializer, "The file was applied last, and is not again"),
        },
    )
    def create(self, request: Request) -> Response:
        """
        Send a file, as a field of a form, or as the body with its options in the query.

        A worker processes the file in the background: poll the import until its state says that it waits for review or
        has ended.
        """
        source, _name, _fields = file_and_fields(request)
        with source:  # closed also if a repeated request gets its stored answer
            return self._take(request)

    create.takes_idempotency_key = True  # type: ignore[attr-defined]  # for the OpenAPI document

    @idempotent
    def _take(self, request: Request) -> Response:
        return self._receive(*file_and_fields(request))

    def fingerprint_of(self, request: Request) -> str:
        """Return a hash of an upload: its file, name, options and URL, regardless of how the body encodes them."""
        source, name, fields = file_and_fields(request)
        told = [request.get_full_path(), name, sorted((key, str(value)) for key, value in fields.items())]
        return hashlib.sha256(json.dumps([*told, hash_of(source)]).encode()).hexdigest()

    def _receive(self, source: BinaryIO, name: str, fields: dict[str, Any]) -> Response:
        request = self.request
        wanted = OrderSerializer(data=fields)
        del wanted.fields["file"]  # the file is not validated as a field
        wanted.is_valid(raise_exception=True)
        wish = wanted.validated_data
        rights = rights_of(wish["kind"]).items()
        order = Order(
            door=Door.API,
            request_id=current_request_id(),
            file_name=name,
            options=wanted.options,
            rights=tuple(right for right, (scope, permission) in rights if may(request, scope, permission)),
            actor=request.user,
            client=client_of(request),
            again=wish["again"],
            **{key: wish[key] for key in ("kind", "dataset", "mode", "scope", "on_error", "review")},
        )
        try:
            return self._start(source, order)
        except SameAgain as same:
            if self.get_queryset().filter(pk=same.earlier.pk).exists():
                return self.answer(same.earlier, 200)
        return self._start(source, replace(order, again=True))  # the earlier import is not visible to this caller

    def _start(self, source: BinaryIO, order: Order) -> Response:
        return self.answer(receive(source, order, then=hand_over), 202)


class ImportReportViewSet(Imports):
    """Streams the result of each row: JSON, or CSV if the Accept header asks for it."""

    renderer_classes = [JSONRenderer, CsvRenderer]
    pagination_class = None  # a stream of all rows

    def query_names(self) -> set[str]:
        return {"part", MARK}

    @extend_schema(parameters=[*PART, MARK_PARAMETER], responses=REPORT)
    def report(self, request: Request, pk: int) -> StreamingHttpResponse:
        """
        Return every row with its original cells and its result. While the import is at work, return the rows so far.
        """
        return self._stream(Report.as_csv, lambda report: report.as_objects(), "report")

    @extend_schema(parameters=[*PART, MARK_PARAMETER], responses=REPORT)
    def failed_rows(self, request: Request, pk: int) -> StreamingHttpResponse:
        """Return the rows with errors. The CSV has their original cells, to be corrected and sent again."""
        return self._stream(Report.failed_as_csv, lambda report: report.as_objects(outcome=ERROR), "failed-rows")

    def _stream(
        self,
        as_csv: Callable[[Report], Iterator[str]],
        as_objects: Callable[[Report], Iterator[str]],
        name: str,
    ) -> StreamingHttpResponse:
        job = get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])
        reports = [Report(job, part) for part in self._parts(job)]
        has_mark = wants_mark(self.request)
        is_csv = self.request.accepted_renderer.format == CsvRenderer.format
        if is_csv and len(reports) > 1:
            raise ValidationError(
                {"part": [ErrorDetail(_("A CSV report has one part only. Add the parameter part."), code="required")]}
            )
        record_export(self.request, Subject.IMPORT, file_import_id=job.pk)
        if is_csv:
            lines = (line for report in reports for line in as_csv(report))
            return csv_response(lines, f"import-{job.pk}-{name}.csv", has_mark=has_mark)
        return StreamingHttpResponse(_array(reports, as_objects), content_type="application/json")

    def _parts(self, job: Import) -> list[Part]:
        """
        Return the requested parts; raise ``Refused`` for an unreadable file, ``ValidationError`` for an unknown part.
        """
        wanted = self.request.query_params.get("part")
        try:
            parts = parts_of(job)
            chosen = [part for part in parts if wanted is None or (wanted and wanted == part.name)]
            for part in chosen:
                part.importer.source()
        except UnreadableFile as error:
            raise Refused([Refusal("import_not_possible", str(error))]) from None
        if not chosen:
            message = _("%(part)s is not one of: %(parts)s.") % {
                "part": wanted,
                "parts": ", ".join(p.name for p in parts),
            }
            raise ValidationError({"part": [ErrorDetail(message, code="invalid_choice")]})
        return chosen


def _array(reports: list[Report], as_objects: Callable[[Report], Iterator[str]]) -> Iterator[str]:
    comma = "["
    for report in reports:
        for text in as_objects(report):
            yield comma + text
            comma = ","
    yield "]" if comma == "," else "[]"


class ImportActionsViewSet(Imports):
    """The actions on an existing import."""

    body_is_optional = True
    method_permissions = {"POST": "change"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])  # the actions accept any import

    @extend_schema(request=ApprovalSerializer, responses={202: ImportSerializer})
    def approve(self, request: Request, pk: int) -> Response:
        """Apply an import that waits for review, if its outcomes are still the reviewed ones."""
        self._read(ApprovalSerializer)
        return self.answer(approve(pk, actor=request.user, then=hand_over), 202)

    @extend_schema(request=ApprovalSerializer, responses={200: ImportSerializer, 202: ImportSerializer})
    def cancel(self, request: Request, pk: int) -> Response:
        """Stop an import: 200 if it has stopped, 202 if it will stop. Chunks that are applied by then stay applied."""
        self._read(ApprovalSerializer)
        job = cancel(pk)
        return self.answer(job, 202 if job.state in AT_WORK else 200)

    @extend_schema(request=UndoSerializer, responses={202: ImportSerializer})
    def undo(self, request: Request, pk: int) -> Response:
        """Undo an import, row by row. Returns the import that performs the undo."""
        dry_run = self._read(UndoSerializer)["dry_run"]
        job = start_undo(
            pk,
            door=Door.API,
            request_id=current_request_id(),
            actor=request.user,
            dry_run=dry_run,
            then=hand_over,
        )
        return self.answer(job, 202)

    def _read(self, serializer_class: Any) -> dict[str, Any]:
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        found: dict[str, Any] = serializer.validated_data
        return found
