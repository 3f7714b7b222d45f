"""
A database cache with JSON values.

Django's database cache stores pickles, and loading a pickle can run code.
"""

import json
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db.models import Q
from django.utils import timezone

from school.models import CachedValue


class JsonCache(BaseCache):
    """A cache of JSON values that all processes share. A value that JSON cannot hold raises ``TypeError``."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        key = self.make_and_validate_key(key, version=version)
        CachedValue.objects.filter(key=key, expires_at__lte=timezone.now()).delete()
        _row, is_new = CachedValue.objects.get_or_create(key=key, defaults=self._fields(value, timeout))
        return is_new

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        key = self.make_and_validate_key(key, version=version)
        live = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
        text = CachedValue.objects.filter(live, key=key).values_list("value", flat=True).first()
        return default if text is None else json.loads(text)

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        key = self.make_and_validate_key(key, version=version)
        CachedValue.objects.update_or_create(key=key, defaults=self._fields(value, timeout))

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        key = self.make_and_validate_key(key, version=version)
        return bool(CachedValue.objects.filter(key=key).update(expires_at=self._expiry(timeout)))

    def delete(self, key: str, version: int | None = None) -> bool:
        key = self.make_and_validate_key(key, version=version)
        return bool(CachedValue.objects.filter(key=key).delete()[0])

    def clear(self) -> None:
        CachedValue.objects.all().delete()

    def _fields(self, value: Any, timeout: Any) -> dict[str, Any]:
        return {"value": json.dumps(value), "expires_at": self._expiry(timeout)}

    def _expiry(self, timeout: Any) -> Any:
        """Return the time in UTC at which a value expires, or None if it never expires."""
        seconds = self.get_backend_timeout(timeout)
        return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
