"""
The grants of bearer tokens: the account, scopes and limits of a token, cached for some seconds in each process.

The database stores only the SHA-256 hash of a token, and so does the cache. A change in the meantime (a token is
revoked, an account deactivated, a client limited) takes effect when the cached grant expires: after
``TOKEN_CACHE_SECONDS`` at most.
"""

import hashlib
import threading
from collections import OrderedDict
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from oauth2_provider.models import get_access_token_model
from oauth2_provider.scopes import get_scopes_backend

from school.access.row_scope import RowScope, row_scope_of_client
from school.db.fast_model_instances import clone_instance
from school.db.sqlite.busy_timeout import fail_if_busy
from school.http.bearer_token import BEARER_PREFIX
from school.models import ApiClient

MAX_CACHED_GRANTS = 10_000
USE_RECORD_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Grant:
    """The account, client, scopes, row scope and expiry of a token. ``account`` is the actor in the journal."""

    account: Any
    client_id: str
    scopes: frozenset[str]
    expires: datetime
    row_scope: RowScope | None


class GrantCache:
    """A cache of grants by the hash of their token. The oldest entries are removed first."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, Grant]] = OrderedDict()

    def get(self, checksum: str) -> Grant | None:
        entry = self._entries.get(checksum)
        return entry[1] if entry and monotonic() < entry[0] else None

    def put(self, checksum: str, grant: Grant) -> None:
        if settings.TOKEN_CACHE_SECONDS <= 0:
            return
        with self._lock:
            self._entries.pop(checksum, None)
            self._entries[checksum] = (monotonic() + settings.TOKEN_CACHE_SECONDS, grant)
            while len(self._entries) > self._max_size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


grant_cache = GrantCache(MAX_CACHED_GRANTS)


def grant_of_request(request: Any) -> Grant | None:
    """Return the grant of the bearer token of a request (RFC 6750, 2.1). It is looked up once for each request."""
    if not hasattr(request, "grant"):
        request.grant = grant_of(request.META["HTTP_AUTHORIZATION"][len(BEARER_PREFIX) :].strip())
    grant: Grant | None = request.grant
    return grant


def grant_of(token: str) -> Grant | None:
    """Return the grant of a token; None if it is unknown or expired, or if its client's account is not active."""
    checksum = hashlib.sha256(token.encode()).hexdigest()
    grant = grant_cache.get(checksum)
    if grant is None:
        grant = _load_grant(checksum)
        if grant is None:
            return None
        grant_cache.put(checksum, grant)
    return grant if timezone.now() < grant.expires else None


def bind_client(grant: Grant) -> None:
    """Add the ids of the client and its account to the log entries of the request."""
    structlog.contextvars.bind_contextvars(client_id=grant.client_id, user_id=grant.account.pk)


def copy_account(grant: Grant) -> Any:
    """Return a copy of the grant's account for this request: all threads share the cached account."""
    account = clone_instance(grant.account)
    account._state.adding, account._state.db = False, grant.account._state.db
    return account


def _load_grant(checksum: str) -> Grant | None:
    tokens = get_access_token_model().objects.select_related("application__user")
    token = tokens.filter(token_checksum=checksum).first()
    client = token.application if token else None
    if token is None or client is None or client.user is None or not client.user.is_active:
        return None
    record_use(client)
    # A token never has a scope that its client does not have any more.
    scopes = frozenset(token.scope.split()) & frozenset(get_scopes_backend().get_available_scopes(client))
    return Grant(client.user, client.client_id, scopes, token.expires, row_scope_of_client(client))


def record_use(client: ApiClient) -> None:
    """Record when a client was last active, at most once a minute over all processes."""
    now = timezone.now()
    threshold = now - USE_RECORD_INTERVAL
    if client.last_used_at is not None and client.last_used_at >= threshold:
        return
    is_due = Q(last_used_at__isnull=True) | Q(last_used_at__lt=threshold)
    # A read request must not wait for a writer only to record its use. On PostgreSQL a request that records it may be
    # waiting for a standby, with the row locked.
    on_postgresql = transaction.atomic() if connection.vendor == "postgresql" else nullcontext()
    with suppress(OperationalError), fail_if_busy(connection), on_postgresql:
        due = ApiClient.objects.select_for_update(skip_locked=True).filter(is_due, pk=client.pk).order_by()
        ApiClient.objects.filter(pk__in=due.values("pk")).update(last_used_at=now)
