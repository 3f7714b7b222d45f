"""Serializers for courses with their seats."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from courses.api.serializers import CourseSerializer
from school.api.openapi.example_decorators import example
from school.api.row_json import ComputedField
from students.api.serializers import examples
from students.seats import Seats


class SeatsSerializer(serializers.Serializer[Any]):
    """The seats of a course: its capacity, and the numbers of taken and free seats and of waitlisted students."""

    taken = serializers.IntegerField()
    free = serializers.IntegerField(allow_null=True, help_text=_("Null if the course has no limit."))
    waiting = serializers.IntegerField(help_text=_("The number of waitlisted students."))
    over = serializers.IntegerField(help_text=_("The number of enrolled students above the capacity."))


class WarningSerializer(serializers.Serializer[Any]):
    """A warning about a state of a resource that is allowed but unusual."""

    code = serializers.CharField()
    message = serializers.CharField()


SEAT_COLUMNS = ("capacity", "seats_taken", "waitlist_length")


def _seats(request: Any, *counts: Any) -> dict[str, Any]:
    seats = Seats(*counts)
    return {"taken": seats.taken, "free": seats.free, "waiting": seats.waiting, "over": seats.over}


def _warnings(request: Any, *counts: Any) -> list[dict[str, Any]]:
    return [{"code": each.code, "message": each.message} for each in Seats(*counts).warnings]


@extend_schema_serializer(component_name="Course")
@example(examples.COURSE, request=examples.COURSE_REQUEST)
class CourseWithSeatsSerializer(CourseSerializer):
    seats = SeatsSerializer(read_only=True)
    warnings = WarningSerializer(many=True, read_only=True)
    computed = {
        **CourseSerializer.computed,
        "seats": ComputedField(SEAT_COLUMNS, _seats),
        "warnings": ComputedField(SEAT_COLUMNS, _warnings),
    }

    class Meta(CourseSerializer.Meta):
        fields = [*CourseSerializer.Meta.fields, "seats", "warnings"]
