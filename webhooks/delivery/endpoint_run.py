"""
A run: one thread delivers the messages of one endpoint in their order, under a lease.

The position is saved after a second or a page of messages, and after a failure. After a kill, the messages since the
last save are sent again, with the same ids. Every save renews the lease and proves that no other worker has taken it.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from school.db.retry import retry_transaction
from school.refusals import Refused
from webhooks.delivery.retry_schedule import delay_after
from webhooks.models import Attempt, AttemptCount, Endpoint, EndpointState, Outcome, PauseReason
from webhooks.outbox import AccessLost, Message, MessagePage, Positions, ping_message, read_messages
from webhooks.sender import Answer, Sender
from webhooks.signing_secrets import UnreadableSecret, decrypt, sign
from webhooks.target_url import parse_target

logger = structlog.get_logger(__name__)

LEASE_DURATION = timedelta(seconds=50)
# A message is sent only if the lease is this much longer valid, in seconds: longer than any attempt.
LEASE_MARGIN = 25
SAVE_INTERVAL = 1.0  # seconds between two saves of the position
PAGE = 100  # messages that are read at a time
GONE = 410
USER_AGENT = "School-Webhooks/1"


class LeaseLost(Exception):
    """Another worker has taken the endpoint, or it was deleted. Nothing is left to do."""


def claim(endpoint: Endpoint, owner: str) -> bool:
    """Take the lease of an endpoint as it was read; return False if another worker has been faster."""
    unchanged = Endpoint.objects.filter(
        pk=endpoint.pk, lease_owner=endpoint.lease_owner, leased_until=endpoint.leased_until
    )
    return bool(unchanged.update(lease_owner=owner, leased_until=timezone.now() + LEASE_DURATION))


def is_due(endpoint: Endpoint) -> bool:
    """Return True if the next message may be sent now."""
    return endpoint.state == EndpointState.ACTIVE and endpoint.next_attempt_at <= timezone.now()


class EndpointRun:
    """Delivers to an endpoint whose lease ``owner`` holds, until nothing is due or ``keep_running`` returns False."""

    def __init__(self, endpoint_id: int, owner: str, keep_running: Callable[[], bool]) -> None:
        self.endpoint_id, self.owner, self.keep_running = endpoint_id, owner, keep_running
        self.sender = Sender()
        self.attempts: list[Attempt] = []  # since the last save
        self.saved_at = time.monotonic()
        self.slowest = 0.0  # seconds of the longest attempt

    def run(self) -> None:
        """Deliver what is due. Raise ``LeaseLost`` or an error of the database; then the lease expires."""
        try:
            self._deliver()
        finally:
            self.sender.close()

    def _deliver(self) -> None:
        endpoint = self._save({})  # which also applies a requested replay
        try:
            if endpoint.requested_ping:
                self._ping(endpoint)
            while is_due(endpoint) and self.keep_running():
                page = read_messages(endpoint, PAGE)
                positions, failure = self._send_page(endpoint, page)
                if failure is not None:
                    return self._save_failure(endpoint, positions, failure)
                if not page.has_more and {**positions, **page.positions} == positions:
                    self._save(self._progress(positions), release=True)
                    return None
                endpoint = self._save(self._progress(positions))
        except AccessLost:
            return self._pause(PauseReason.ACCESS)
        except Refused:
            return self._pause(PauseReason.CURSOR)
        except UnreadableSecret:
            return self._pause(PauseReason.SECRET)
        self._save({}, release=True)
        return None

    def _send_page(self, endpoint: Endpoint, page: MessagePage) -> tuple[Positions, Answer | None]:
        """Send messages until a save is due; return the positions after the last delivery, and the failure if any."""
        positions, keys = dict(endpoint.positions), signing_keys_of(endpoint)
        for message in page.messages:
            answer = self._send(endpoint, message, keys)
            if answer.outcome != Outcome.DELIVERED:
                return positions, answer
            positions[message.kind] = message.position
            if time.monotonic() - self.saved_at > SAVE_INTERVAL or not self.keep_running():
                return positions, None
        return {**positions, **page.positions}, None

    def _progress(self, positions: Positions) -> dict[str, Any]:
        """Return the fields after deliveries."""
        if not any(attempt.outcome == Outcome.DELIVERED and attempt.type != "ping" for attempt in self.attempts):
            return {"positions": positions}
        return {"positions": positions, "attempts": 0, "delivered_at": timezone.now()}

    def _save_failure(self, endpoint: Endpoint, positions: Positions, answer: Answer) -> None:
        now, progress = timezone.now(), self._progress(positions)
        failures = 1 + progress.get("attempts", endpoint.attempts)
        fields = {**progress, "attempts": failures, "failed_at": now, "last_failure": answer.outcome}
        if answer.status == GONE:
            delay, reason = None, PauseReason.GONE
        else:
            delay, reason = delay_after(failures, answer.status, answer.retry_after, now), PauseReason.FAILURES
        if delay is None:
            self._pause(reason, fields)
        else:
            self._save({**fields, "next_attempt_at": now + delay}, release=True)

    def _pause(self, reason: PauseReason, fields: dict[str, Any] | None = None) -> None:
        self._save({**(fields or {}), "state": EndpointState.PAUSED, "pause_reason": reason}, release=True)
        logger.warning("webhook_paused", webhook_id=self.endpoint_id, reason=reason.value)

    def _ping(self, endpoint: Endpoint) -> None:
        message = ping_message(endpoint.requested_ping)
        self._send(endpoint, message, signing_keys_of(endpoint))
        Endpoint.objects.filter(pk=self.endpoint_id, requested_ping=endpoint.requested_ping).update(requested_ping="")

    def _send(self, endpoint: Endpoint, message: Message, keys: Sequence[str]) -> Answer:
        if time.monotonic() - self.saved_at > LEASE_DURATION.total_seconds() - LEASE_MARGIN:
            raise LeaseLost  # this process has stood still
        began, at = time.monotonic(), timezone.now()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": message.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": sign(keys, message.id, int(at.timestamp()), message.body),
        }
        answer = self.sender.post(parse_target(endpoint.url), headers, message.body)
        seconds = time.monotonic() - began
        self.slowest = max(self.slowest, seconds)
        self.attempts.append(
            Attempt(
                endpoint_id=self.endpoint_id,
                message_id=message.id,
                type=message.type,
                at=at,
                outcome=answer.outcome,
                status=answer.status,
                milliseconds=round(1_000 * seconds),
            )
        )
        return answer

    def _save(self, fields: dict[str, Any], *, release: bool = False) -> Endpoint:
        """
        Save these fields and the attempts since the last save, renew or release the lease, and return the endpoint.

        Positions that were requested meanwhile replace those in ``fields``. Raise ``LeaseLost``.
        """
        began = time.monotonic()
        endpoint = self._save_locked(fields, release=release)
        self.attempts, self.saved_at = [], began
        return endpoint

    @retry_transaction
    @transaction.atomic
    def _save_locked(self, fields: dict[str, Any], *, release: bool) -> Endpoint:
        rows = Endpoint.objects.select_for_update(of=("self",)).select_related("client__user")
        endpoint = rows.filter(pk=self.endpoint_id, lease_owner=self.owner).first()
        if endpoint is None:
            raise LeaseLost
        if endpoint.requested_positions is not None:
            positions = {**fields.get("positions", endpoint.positions), **endpoint.requested_positions}
            fields = {**fields, "positions": positions, "requested_positions": None}
        endpoint.lease_owner = "" if release else self.owner
        endpoint.leased_until = None if release else timezone.now() + LEASE_DURATION
        for name, value in fields.items():
            setattr(endpoint, name, value)
        endpoint.save(update_fields=["lease_owner", "leased_until", *fields])
        Attempt.objects.bulk_create(self.attempts)
        for outcome, number in sorted(Counter(attempt.outcome for attempt in self.attempts).items()):
            if not AttemptCount.objects.filter(pk=outcome).update(number=F("number") + number):
                AttemptCount.objects.create(outcome=outcome, number=number)
        return endpoint


def signing_keys_of(endpoint: Endpoint) -> list[str]:
    """Return the secrets that sign a message now: the current one, and after a rotation the previous one."""
    stored = [endpoint.secret]
    if endpoint.previous_secret_until and endpoint.previous_secret_until > timezone.now():
        stored.append(endpoint.previous_secret)
    return [decrypt(each) for each in stored]
