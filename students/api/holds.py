"""API views of the holds of a student."""

from collections.abc import Hashable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from school.access.row_scope import check_can_add, check_in_scope
from school.api.base_views import RowScopeMixin
from school.api.etags import check_if_match, is_conditional
from school.api.idempotency import idempotent
from school.api.list_and_retrieve import ConditionalReadMixin
from school.api.permissions import row_scope_of
from school.api.query_parameters import StrictQueryMixin
from school.api.row_json import json_response
from school.api.serializers import parse_body
from school.db.retry import retry_transaction
from school.identifiers import parse_id
from school.refusals import Refused
from students.api.actor import actor_from_request
from students.api.filters import HoldFilter
from students.api.serializers import HoldSerializer
from students.api.visible_rows import visible_students
from students.holds import RequestedHold, place_holds, release_holds
from students.lookup import find_student, resolve_student_id
from students.models import Hold


class HoldsViewSet(RowScopeMixin, StrictQueryMixin, ConditionalReadMixin, GenericViewSet[Hold]):
    """The holds of a student. A release ends a hold and deletes no row."""

    scope = "holds"
    permission_model = Hold
    method_permissions = {"DELETE": "change"}
    queryset = Hold.objects.all()
    serializer_class = HoldSerializer
    filterset_class = HoldFilter
    ordering_fields = {"id": "id"}
    ordering = "id"

    def query_cache_key(self) -> Hashable:
        return ()

    def get_queryset(self) -> QuerySet[Hold]:
        return super().get_queryset().filter(student_id=self.parameter("student"))

    def parameter_values(self) -> dict[str, Any]:
        identifier = self.kwargs["student_id"]
        return {"student": parse_id(identifier) or resolve_student_id(identifier, visible_students(self.request))}

    def check_parent_exists(self) -> None:
        find_student(self.kwargs["student_id"], visible_students(self.request))

    @extend_schema(responses={201: HoldSerializer, 200: HoldSerializer})
    @idempotent
    @retry_transaction
    @transaction.atomic
    def create(self, request: Request, student_id: str) -> HttpResponse:
        check_can_add(Hold, row_scope_of(request))
        student = find_student(student_id, visible_students(request))
        values = parse_body(HoldSerializer, request.data).validated_data
        term = values.pop("term", None)
        requested = RequestedHold(student.pk, term_id=term and term.pk, **values)
        [placement] = place_holds([requested], actor=actor_from_request(request))
        if placement.hold is None:
            raise Refused(placement.refusals)
        etag, text = self.etag_and_json({"pk": placement.hold.pk})
        headers = {"ETag": etag}
        if placement.created:
            path = reverse("student-hold", args=[student.pk, placement.hold.pk])
            headers["Location"] = request.build_absolute_uri(path)
        return json_response(text, 201 if placement.created else 200, headers)

    @retry_transaction
    @transaction.atomic
    def release(self, request: Request, student_id: str, pk: int) -> HttpResponse:
        self.check_parent_exists()
        hold = get_object_or_404(self.get_queryset(), pk=pk)
        check_in_scope(hold, row_scope_of(request))
        if is_conditional(request):
            check_if_match(request, self.etag_of(hold))
        release_holds([hold.pk], actor=actor_from_request(request))
        return Response(status=204)
