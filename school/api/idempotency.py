"""
Safe retries by the header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header).

The answer is stored in the transaction that does the work, so that both are committed or neither is. So a retry never
repeats work that is done. If the server dies before the commit, nothing is stored, and the retry does the work.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import connection, transaction
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from school.db.retry import retry_transaction
from school.models import KeptAnswer
from school.observability.logging import bind_cause

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
RETENTION = timedelta(hours=24)
STORED_HEADERS = ("Location", "ETag")

# The upper 16 of the 64 bits of the key of an advisory lock. School's other advisory locks have other upper bits.
LOCK_NAMESPACE = 0x5C42
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"

KEY_PATTERN = "^[!-~]{1,255}$"


class InvalidIdempotencyKey(APIException):
    status_code = 400
    default_code = "invalid_idempotency_key"
    default_detail = gettext_lazy("The Idempotency-Key is invalid. It must have 1 to 255 visible ASCII characters.")


class IdempotencyKeyReused(APIException):
    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = gettext_lazy("This Idempotency-Key was used for a different request. Use a new one.")


class RequestInProgress(APIException):
    status_code = 409
    default_code = "still_at_work"
    default_detail = gettext_lazy("The first request with this Idempotency-Key is still being processed.")
    wait = 1


View = Callable[..., Any]


def idempotent(method: View) -> View:
    """
    Make a view method return the same answer to requests with the same Idempotency-Key, for 24 hours.

    A key belongs to an account. An answer of 500 or above is not stored: nothing was done. A request that arrives while
    the first one is running gets 409 on PostgreSQL; on SQLite, which has one writer at a time, it waits for its turn.

    A view whose bodies are not text defines its own ``fingerprint_of``, which distinguishes its requests.
    """

    def with_query_check(view: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        view.check_query(request)
        return method(view, request, *args, **kwargs)

    @wraps(method)
    def wrapped(view: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        key = _parse_key(request)
        if key is None:
            return with_query_check(view, request, *args, **kwargs)
        fingerprint = getattr(view, "fingerprint_of", fingerprint_of)(request)
        return _run_once(
            request, key, fingerprint, lambda: _call_view(view, with_query_check, request, *args, **kwargs)
        )

    wrapped.takes_idempotency_key = True  # type: ignore[attr-defined]  # for the OpenAPI document
    return wrapped


def fingerprint_of(request: Request) -> str:
    """Return a hash of the method, the URL with its query, the content type and the body of a request."""
    parts = (str(request.method), request.get_full_path(), request.content_type)
    digest = hashlib.sha256("\n".join(parts).encode())
    digest.update(request._request.body)
    return digest.hexdigest()


@retry_transaction
@transaction.atomic
def _run_once(request: Request, key: str, fingerprint: str, work: Callable[[], HttpResponse]) -> Any:
    account: Any = request.user
    if not _try_lock(account.pk, key):
        raise RequestInProgress
    stored = KeptAnswer.objects.filter(user=account, key=key).first()
    if stored and stored.at < timezone.now() - RETENTION:
        stored.delete()
        stored = None
    if stored:
        if stored.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        return replay_response(stored)
    response = work()
    if response.status_code < 500:
        _store_response(request, key, fingerprint, response)
    return response


def _call_view(view: Any, method: View, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
    """
    Return the view's answer.

    If the view raises an exception, roll back the work of the view only, and return the problem.
    """
    try:
        with transaction.atomic():
            return method(view, request, *args, **kwargs)
    except Exception as error:  # noqa: BLE001  # the handler raises unexpected exceptions again
        response: HttpResponse = view.handle_exception(error)
        return response


def _try_lock(user_id: int, key: str) -> bool:
    """Lock the key until the transaction ends; return False if another transaction holds it."""
    if connection.vendor != "postgresql":
        return True
    number = int.from_bytes(hashlib.sha256(f"{user_id} {key}".encode()).digest()[:6], "big")
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [LOCK_NAMESPACE << 48 | number])
        [is_free] = cursor.fetchone()
    return bool(is_free)


def _store_response(request: Request, key: str, fingerprint: str, response: HttpResponse) -> None:
    """Store the answer for retries. Answers to a body are under 100 kB (tests/security/test_budget.py)."""
    account: Any = request.user
    if isinstance(response, Response):  # DRF renders it after the view
        renderer = request.accepted_renderer
        body: Any = b"" if response.data is None else renderer.render(response.data, renderer.media_type, {})
        content_type = response.content_type or renderer.media_type
    else:
        body, content_type = response.content, response["Content-Type"]
    KeptAnswer.objects.create(
        user=account,
        key=key,
        fingerprint=fingerprint,
        status=response.status_code,
        headers={name: response[name] for name in STORED_HEADERS if name in response},
        content_type=content_type,
        body=body.decode(),
        at=timezone.now(),
    )


def replay_response(stored: KeptAnswer) -> HttpResponse:
    """Return a stored answer, with a header that marks the answer as a repetition."""
    if stored.status == 409:
        bind_cause(problem_codes=[each["code"] for each in json.loads(stored.body)["errors"]])
    headers = {**stored.headers, REPLAYED_HEADER: "true"}
    return HttpResponse(stored.body, status=stored.status, content_type=stored.content_type, headers=headers)


def _parse_key(request: Request) -> str | None:
    """Return the key in the request, without the quotes of a structured field (RFC 8941); None without a key."""
    header = request.headers.get(HEADER)
    if header is None:
        return None
    header = header.strip()
    if len(header) >= 2 and header[0] == header[-1] == '"':
        header = header[1:-1]
    if not re.fullmatch(KEY_PATTERN, header):
        raise InvalidIdempotencyKey
    return header
