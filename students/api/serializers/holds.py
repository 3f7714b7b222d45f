"""The serializer of holds."""

from typing import Any

from rest_framework import serializers

from courses.api.serializers import TermCodeField
from school.api.fields import StrictDateField
from school.api.openapi.example_decorators import example
from school.api.serializers import StrictModelSerializer
from school.validators import in_our_times
from students.api.serializers import examples
from students.holds import dates_refusals
from students.models import Hold

DAYS = {"from": "starts_on", "until": "ends_on"}


@example(examples.HOLD, request=examples.HOLD_REQUEST)
class HoldSerializer(StrictModelSerializer):
    """A hold. ``from`` and ``until`` are days that belong to it."""

    term = TermCodeField(allow_null=True, required=False)
    placed_by = serializers.CharField(source="placed_by.username", read_only=True, allow_null=True)
    released_by = serializers.CharField(source="released_by.username", read_only=True, allow_null=True)

    class Meta:
        model = Hold
        fields = ["id", "code", "reason", "term", "placed_at", "placed_by", "released_at", "released_by"]
        # These texts are for the form of the admin.
        extra_kwargs = {name: {"help_text": ""} for name in ("code", "reason")}
        read_only_fields = ["id", "placed_at", "placed_by", "released_at", "released_by"]

    def get_fields(self) -> dict[str, Any]:
        """Return the fields with the two days, one of which has the name of a keyword."""
        days = {
            name: StrictDateField(source=source, required=False, allow_null=True, validators=[in_our_times])
            for name, source in DAYS.items()
        }
        return {**super().get_fields(), **days}

    def _constraint_errors(self, attrs: dict[str, Any], exclude: set[str] | None = None) -> dict[str, Any]:
        """Return the errors of the days. ``students.holds`` checks whether the student has the hold already."""
        refusals = dates_refusals(attrs.get("starts_on"), attrs.get("ends_on"))
        return {str(each.field): [serializers.ErrorDetail(each.message, each.code)] for each in refusals}
