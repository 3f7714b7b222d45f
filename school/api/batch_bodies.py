"""The bodies of batches and of their responses, which have a limited size."""

from collections.abc import Callable, Collection
from typing import Any

from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer

from school.api.fields import StrictBooleanField
from school.api.serializers import KnownFieldsSerializer

MAX_ITEMS = 1_000
MAX_BATCH_ERRORS = 1_000  # the maximum number of errors in the invalid items of a batch

# A response shows the outcomes in full only for batches with at most this many items: more would be too large.
MAX_FULL_OUTCOMES = 25

MAX_BYTES = 98_000  # the maximum size of the outcomes; the rest of the response has less than 2,000 bytes


class TooManyItems(APIException):
    status_code = 413
    default_code = "too_many_items"
    default_detail = gettext_lazy("A batch has at most 1,000 items.")


class UncheckedItemsField(serializers.ListField):
    """A list of items, not validated yet."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > MAX_ITEMS:
            raise TooManyItems
        return list(super().to_internal_value(data))


class BatchBodySerializer(KnownFieldsSerializer):
    """The body of a batch: up to 1,000 items, which are executed in their order."""

    items = UncheckedItemsField(allow_empty=False, min_length=1, help_text=gettext_lazy("At most 1,000 items."))
    atomic = StrictBooleanField(
        default=False, help_text=gettext_lazy("All or nothing: if one item fails, none is applied.")
    )


def add_reasons(rendered: list[Any], failed: Collection[int], render_full: Callable[[int], Any]) -> None:
    """
    Replace the brief outcomes of failed items by full ones, from the first on, while all have at most ``MAX_BYTES``.

    ``failed`` has the positions of the failed items in their order.
    """
    available_bytes = MAX_BYTES - _size(rendered)
    for index in failed:
        full = render_full(index)
        available_bytes -= _size(full) - _size(rendered[index])
        if available_bytes < 0:
            break
        rendered[index] = full


def _size(rendered: Any) -> int:
    return len(JSONRenderer().render(rendered))
