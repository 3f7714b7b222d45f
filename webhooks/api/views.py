"""API views of webhooks, of which a client sees only those that it has registered."""

from collections.abc import Hashable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from school.api.etags import check_if_match, is_conditional
from school.api.list_and_retrieve import ConditionalReadMixin
from school.api.permissions import MissingPermission, is_permitted, row_scope_of, service_account_of
from school.api.query_parameters import StrictQueryMixin
from school.api.row_json import json_response
from school.api.serializers import parse_body
from school.db.retry import retry_transaction
from school.models import ApiClient
from webhooks.api.serializers import (
    AttemptSerializer,
    EndpointSerializer,
    NewEndpointSerializer,
    PingSerializer,
    ReplaySerializer,
    SecretSerializer,
)
from webhooks.endpoints import change, pause, ping, register, replay, resume, rotate
from webhooks.models import Attempt, Endpoint, EndpointState
from webhooks.outbox import required_access, visible_course_ids


class WebhookReads(StrictQueryMixin, ConditionalReadMixin):
    """Reads the rows that belong to the webhooks of the caller: for a client its own ones, for staff all."""

    scope = "webhooks"
    required_scope = "webhooks:write"  # also to read: the lists are for the programs that write
    row_scope = None
    client_path = ""  # the path from the model to the client

    def query_cache_key(self) -> Hashable:
        return self._account_id is not None

    def parameter_values(self) -> dict[str, Any]:
        return {"account": self._account_id, "endpoint": getattr(self, "kwargs", {}).get("pk")}

    @property
    def _account_id(self) -> Any:
        account = service_account_of(getattr(self, "request", None))
        return None if account is None else account.pk

    def get_queryset(self) -> QuerySet[Any]:
        view: Any = super()
        rows: QuerySet[Any] = view.get_queryset()
        return rows if self._account_id is None else rows.filter(**{self.client_path: self.parameter("account")})


class WebhookViewSet(WebhookReads, GenericViewSet[Endpoint]):
    """
    Webhooks: URLs to which changes are pushed.

    There is no Idempotency-Key: its stored response would have the secret.
    """

    permission_model = Endpoint
    queryset = Endpoint.objects.all()
    serializer_class = EndpointSerializer
    client_path = "client__user"
    ordering_fields = {"id": "id"}
    ordering = "id"

    @extend_schema(responses={201: NewEndpointSerializer})
    @retry_transaction
    @transaction.atomic
    def create(self, request: Request) -> HttpResponse:
        values = parse_body(EndpointSerializer, request.data).validated_data
        self._check(values)
        account = service_account_of(request)
        client = None if account is None else ApiClient.objects.get(user=account)
        state = values.pop("state", EndpointState.ACTIVE)
        endpoint = Endpoint(client=client, **values)
        secret = register(endpoint)
        if state == EndpointState.PAUSED:
            pause(endpoint.pk)
        etag, text = self.etag_and_json({"pk": endpoint.pk})
        location = request.build_absolute_uri(reverse("webhook", args=[endpoint.pk]))
        return json_response(f'{text[:-1]},"secret":"{secret}"}}', 201, {"Location": location, "ETag": etag})

    @retry_transaction
    @transaction.atomic
    def partial_update(self, request: Request, pk: int) -> HttpResponse:
        endpoint = self._locked(pk)
        serializer = EndpointSerializer(endpoint, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        self._check(values)
        state = values.pop("state", endpoint.state)
        for name, value in values.items():
            setattr(endpoint, name, value)
        change(endpoint, list(values))
        if state != endpoint.state:
            (resume if state == EndpointState.ACTIVE else pause)(pk)
        etag, text = self.etag_and_json({"pk": pk})
        return json_response(text, headers={"ETag": etag})

    @retry_transaction
    @transaction.atomic
    def destroy(self, request: Request, pk: int) -> Response:
        self._locked(pk).delete()
        return Response(status=204)

    def _locked(self, pk: int) -> Endpoint:
        """Return the endpoint, locked, after a check of If-Match."""
        endpoint = get_object_or_404(self.get_queryset().select_for_update(), pk=pk)
        if is_conditional(self.request):
            check_if_match(self.request, self.etag_of(endpoint))
        return endpoint

    def _check(self, values: dict[str, Any]) -> None:
        """Raise an error if the caller may not read the kinds, or does not see all of the courses."""
        for scope, permission in required_access(values.get("kinds", [])):
            if not is_permitted(self.request, scope, permission):
                raise MissingPermission(self.request, scope, [permission])
        courses = values.get("courses", [])
        unknown = sorted(set(courses) - set(visible_course_ids(courses, row_scope_of(self.request))))
        if unknown:
            message = _("There is no course with the id %(id)s.") % {"id": unknown[0]}
            raise ValidationError({"courses": [ErrorDetail(message, code="course_not_found")]})


class WebhookActionsViewSet(WebhookReads, GenericViewSet[Endpoint]):
    """Actions on a webhook: a new secret, a ping, a replay."""

    permission_model = Endpoint
    method_permissions = {"POST": "change"}
    queryset = Endpoint.objects.all()
    serializer_class = EndpointSerializer
    client_path = "client__user"

    @extend_schema(request=None, responses=SecretSerializer)
    def rotate(self, request: Request, pk: int) -> Response:
        self._find(pk)
        return Response({"secret": rotate(pk)})

    @extend_schema(request=None, responses={202: PingSerializer})
    def ping(self, request: Request, pk: int) -> Response:
        self._find(pk)
        return Response({"message_id": ping(pk)}, 202)

    @extend_schema(request=ReplaySerializer, responses=EndpointSerializer)
    @retry_transaction
    @transaction.atomic
    def replay(self, request: Request, pk: int) -> HttpResponse:
        endpoint = self._find(pk)
        replay(endpoint, parse_body(ReplaySerializer, request.data).validated_data["after"])
        etag, text = self.etag_and_json({"pk": pk})
        return json_response(text, headers={"ETag": etag})

    def _find(self, pk: int) -> Endpoint:
        return get_object_or_404(self.get_queryset(), pk=pk)


class WebhookAttemptViewSet(WebhookReads, GenericViewSet[Attempt]):
    """The attempts to deliver messages to a webhook, the newest first."""

    permission_model = Attempt
    queryset = Attempt.objects.all()
    serializer_class = AttemptSerializer
    client_path = "endpoint__client__user"
    ordering_fields = {"id": "id"}
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Attempt]:
        return super().get_queryset().filter(endpoint_id=self.parameter("endpoint"))

    def check_parent_exists(self) -> None:
        endpoints = Endpoint.objects.all()
        if self._account_id is not None:
            endpoints = endpoints.filter(client__user=self._account_id)
        get_object_or_404(endpoints, pk=self.kwargs["pk"])
