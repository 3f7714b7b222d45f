"""Imports over the API: sent, watched, approved, cancelled, undone."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from django.db import transaction
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

from bulk.filters import ImportFilter
from bulk.importing import ERROR
from bulk.kinds import parts_of, rights_of
from bulk.models import AT_WORK, Door, Import
from bulk.pipeline import Order, SameAgain, approve, cancel, receive, start_undo
from bulk.reading import UnreadableFile
from bulk.reports import Report
from bulk.running import Part
from bulk.serializers import (
    ApprovalSerializer,
    ImportSerializer,
    OrderSerializer,
    ReportRowSerializer,
    UndoSerializer,
)
from bulk.storage import hash_of
from bulk.tasks import hand_over
from bulk.uploads import CsvParser, CsvRenderer, FormParser, ZipParser, file_and_fields
from school.api.conditional import ConditionalReads, State, values_of
from school.api.idempotency import idempotent
from school.api.permissions import limits_of, may
from school.api.views import WithinLimits
from school.disclosures import Subject, record_export
from school.logs import current_request_id
from school.refusals import Refusal, Refused

PART = [OpenApiParameter("part", str, enum=["students", "courses", "enrollments"], description="Of a zip: one file.")]
REPORT = {
    (200, "application/json"): ReportRowSerializer(many=True),
    (200, "text/csv"): OpenApiTypes.STR,
}


class Imports(WithinLimits, GenericViewSet[Import]):
    scope = "imports"
    permission_model = Import
    queryset = Import.objects.select_related("actor", "approved_by", "progress")
    serializer_class = ImportSerializer

    def answer(self, job: Import, status: int) -> Response:
        """Return an import as it is now, and where it can be watched."""
        job = self.get_queryset().get(pk=job.pk)
        address = self.request.build_absolute_uri(reverse("import", args=[job.pk]))
        return Response(ImportSerializer(job).data, status, headers={"Location": address})


class ImportViewSet(ConditionalReads, Imports):
    filterset_class = ImportFilter
    ordering_fields = {"id": "id", "created_at": "created_at"}
    ordering = "-id"
    parser_classes = [FormParser, CsvParser, ZipParser]
    more_problems = {"POST": {404}}  # a term or a course that the options name

    def get_object(self) -> Import:
        return get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])

    def state_of(self, row: Import) -> State:
        people = [each and each.get_username() for each in (row.actor, row.approved_by)]
        return (*values_of(row), *values_of(row.progress), *people)

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
        Send a file, as a field of a form or as the body; its options then stand in the query.

        It is worked on in the background: ask for the import until its state says that it waits or is done.
        """
        source, _name, _fields = file_and_fields(request)
        with source:  # also where the answer was given before, and nobody reads it
            return self._take(request)

    create.takes_idempotency_key = True  # type: ignore[attr-defined]  # for the OpenAPI document

    @idempotent
    def _take(self, request: Request) -> Response:
        return self._receive(*file_and_fields(request))

    def fingerprint_of(self, request: Request) -> str:
        """Return what tells one upload from another: the file and its options, however they are wrapped up."""
        source, name, fields = file_and_fields(request)
        told = [request.get_full_path(), name, sorted((key, str(value)) for key, value in fields.items())]
        return hashlib.sha256(json.dumps([*told, hash_of(source)]).encode()).hexdigest()

    def _receive(self, source: BinaryIO, name: str, fields: dict[str, Any]) -> Response:
        request = self.request
        wanted = OrderSerializer(data=fields)
        del wanted.fields["file"]  # it is not read as text
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
            again=wish["again"] == "true",
            **{key: wish[key] for key in ("kind", "dataset", "mode", "scope", "on_error", "review")},
        )
        try:
            return self._start(source, order)
        except SameAgain as same:
            if self.get_queryset().filter(pk=same.earlier.pk).exists():
                return self.answer(same.earlier, 200)
        return self._start(source, replace(order, again=True))  # somebody else's, which is not there for this one

    def _start(self, source: BinaryIO, order: Order) -> Response:
        with transaction.atomic():
            job = receive(source, order)
            hand_over(job)
        return self.answer(job, 202)


class ImportReportViewSet(Imports):
    """What became of each row, as a stream: JSON, or CSV where the Accept header asks for it."""

    renderer_classes = [JSONRenderer, CsvRenderer]
    pagination_class = None  # a stream of all rows

    @extend_schema(parameters=PART, responses=REPORT)
    def report(self, request: Request, pk: int) -> StreamingHttpResponse:
        """Every row as it came, and what became of it. While the import is at work: as far as it is."""
        return self._stream(Report.as_csv, lambda report: report.as_objects(), "report")

    @extend_schema(parameters=PART, responses=REPORT)
    def failed_rows(self, request: Request, pk: int) -> StreamingHttpResponse:
        """The rows with errors. The CSV has them as they came, to be mended and sent again."""
        return self._stream(Report.failed_as_csv, lambda report: report.as_objects(outcome=ERROR), "failed-rows")

    def _stream(
        self,
        as_csv: Callable[[Report], Iterator[str]],
        as_objects: Callable[[Report], Iterator[str]],
        name: str,
    ) -> StreamingHttpResponse:
        job = get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])
        reports = [Report(job, part) for part in self._parts(job)]
        is_csv = self.request.accepted_renderer.format == CsvRenderer.format
        if is_csv and len(reports) > 1:
            raise ValidationError({"part": [ErrorDetail(_("A CSV is of one part: name it."), code="required")]})
        record_export(self.request, Subject.IMPORT, file_import_id=job.pk)
        if is_csv:
            lines = (line for report in reports for line in as_csv(report))
            answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
            answer["Content-Disposition"] = f'attachment; filename="import-{job.pk}-{name}.csv"'
            return answer
        return StreamingHttpResponse(_array(reports, as_objects), content_type="application/json")

    def _parts(self, job: Import) -> list[Part]:
        """Return the parts that are asked for; raise ``Refused`` for a file that cannot be read."""
        wanted = self.request.query_params.get("part")
        try:
            parts = parts_of(job)
            chosen = [part for part in parts if wanted is None or (wanted and wanted == part.name)]
            for part in chosen:
                part.importer.source()
        except UnreadableFile as error:
            raise Refused([Refusal("import_not_possible", str(error))]) from None
        if not chosen:
            message = _("%(part)s is none of: %(parts)s.") % {"part": wanted, "parts": ", ".join(p.name for p in parts)}
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
    """What can be done with an import once it is there."""

    method_permissions = {"POST": "change"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if limits_of(request) is not None:  # the verbs look at all imports
            get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])

    @extend_schema(request=ApprovalSerializer, responses={202: ImportSerializer})
    def approve(self, request: Request, pk: int) -> Response:
        """Apply an import that waits for its review, if what was reviewed is still what comes out."""
        self._read(ApprovalSerializer)
        with transaction.atomic():
            job = approve(pk, actor=request.user)
            hand_over(job)
        return self.answer(job, 202)

    @extend_schema(request=ApprovalSerializer, responses={200: ImportSerializer, 202: ImportSerializer})
    def cancel(self, request: Request, pk: int) -> Response:
        """Stop an import: 200 where it has stopped, 202 where it will. What is applied by then stays so."""
        self._read(ApprovalSerializer)
        job = cancel(pk)
        return self.answer(job, 202 if job.state in AT_WORK else 200)

    @extend_schema(request=UndoSerializer, responses={202: ImportSerializer})
    def undo(self, request: Request, pk: int) -> Response:
        """Take an import back, row by row. Answers with the import that does it."""
        dry_run = self._read(UndoSerializer)["dry_run"]
        with transaction.atomic():
            job = start_undo(pk, door=Door.API, request_id=current_request_id(), actor=request.user, dry_run=dry_run)
            hand_over(job)
        return self.answer(job, 202)

    def _read(self, serializer_class: Any) -> dict[str, Any]:
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        found: dict[str, Any] = serializer.validated_data
        return found
