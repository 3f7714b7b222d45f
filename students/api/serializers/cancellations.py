"""Serializers for the cancellation of a course."""

from rest_framework import serializers

from bulk.api.serializers import UndoSerializer
from school.api.fields import StrictCharField
from school.api.openapi.example_decorators import example, request_example
from school.validators import plain_text


@request_example({"reason": "Too few students", "dry_run": True})
class CourseCancellationSerializer(UndoSerializer):
    """The cancellation of a course."""

    reason = StrictCharField(max_length=1000, validators=[plain_text])


@example({"enrolled": 28, "waitlisted": 3, "kept": 0, "promoted": 0, "losing_corequisites": 2})
class CancellationResultSerializer(serializers.Serializer[object]):
    """
    The numbers of enrollments that are dropped or restored, by their status before the cancellation.

    ``kept`` is the number of those that an undo leaves dropped, ``promoted`` that of the seats given after it.
    ``losing_corequisites`` is the number of enrollments in other courses that require the cancelled one.
    """

    enrolled = serializers.IntegerField()
    waitlisted = serializers.IntegerField()
    kept = serializers.IntegerField()
    promoted = serializers.IntegerField()
    losing_corequisites = serializers.IntegerField()
