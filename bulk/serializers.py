"""Imports in JSON."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from bulk.kinds import kinds
from bulk.models import DEFAULT_DATASET, Import, Mode, OnError, Review
from school.api.examples import example, request_example
from school.api.fields import KnownFieldsSerializer, StrictBooleanField, StrictCharField, StrictModelSerializer
from school.validators import plain_text

TRUE = "true"


IMPORT = {
    "id": 12,
    "kind": "enrollments",
    "undoes": None,
    "dataset": "default",
    "mode": "delta",
    "scope": "",
    "on_error": "skip",
    "review": "always",
    "options": {"on_full": "waitlist"},
    "file_name": "fall.csv",
    "sha256": "23340d233d81ee884005f6a550c483e5bc69dd1409ecaed7912f4c945a4f201a",
    "size": 70,
    "state": "needs_review",
    "problems": [],
    "rows": 2,
    "rows_done": 2,
    "counts": {"enrolled": 1, "error": 1},
    "ending": 0,
    "in_scope": 0,
    "actor": "client:portal",
    "approved_by": None,
    "request_id": "8a1f6c1e-6a0b-4f0e-9a53-0c7f3a2b9d11",
    "created_at": "2026-08-20T09:15:00Z",
    "started_at": "2026-08-20T09:15:01Z",
    "finished_at": None,
    "rows_per_second": None,
}
REPORT_ROW = {
    "row": 3,
    "outcome": "error",
    "errors": [{"code": "course_full", "field": None, "message": "MATH-101 has no free seat."}],
    "note": "",
    "cells": {"student_number": "S-1042", "course_code": "MATH-101"},
}


class ImportProblemSerializer(serializers.Serializer[Any]):
    """Why a file as a whole was not applied, or has to be looked at again."""

    code = serializers.CharField()
    field = serializers.CharField(allow_null=True, required=False)
    message = serializers.CharField()


@example(IMPORT)
class ImportSerializer(StrictModelSerializer):
    """A file, and what was made of it."""

    kind = serializers.CharField(help_text=_("What the rows are, or undo."))
    problems = ImportProblemSerializer(many=True)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text=_("Rows by outcome."))
    options = serializers.DictField(child=serializers.CharField())
    rows_done = serializers.SerializerMethodField()
    actor: Any = serializers.SlugRelatedField("username", read_only=True, allow_null=True)
    approved_by: Any = serializers.SlugRelatedField("username", read_only=True, allow_null=True)
    rows_per_second = serializers.FloatField(read_only=True, allow_null=True)

    class Meta:
        model = Import
        fields = [
            "id",
            "kind",
            "undoes",
            "dataset",
            "mode",
            "scope",
            "on_error",
            "review",
            "options",
            "file_name",
            "sha256",
            "size",
            "state",
            "problems",
            "rows",
            "rows_done",
            "counts",
            "ending",
            "in_scope",
            "actor",
            "approved_by",
            "request_id",
            "created_at",
            "started_at",
            "finished_at",
            "rows_per_second",
        ]
        read_only_fields = fields

    @extend_schema_field(int)
    def get_rows_done(self, job: Import) -> int:
        return job.progress.rows


@request_example({"file": "student_number,course_code", "kind": "enrollments"}, "multipart/form-data")
class OrderSerializer(KnownFieldsSerializer):
    """What a file shall be made of. Everything but the file may stand in the form or in the query."""

    file = serializers.FileField(write_only=True)
    kind = StrictCharField(max_length=32, help_text=_("students, courses, enrollments, or zip of all three."))
    dataset = StrictCharField(
        max_length=64,
        default=DEFAULT_DATASET,
        validators=[plain_text],
        help_text=_("The source of the file. One import at a time for each."),
    )
    mode = serializers.ChoiceField(choices=Mode.values, default=Mode.DELTA.value)
    scope = StrictCharField(
        max_length=128,
        allow_blank=True,
        default="",
        validators=[plain_text],
        help_text=_("Of a full file: term:CODE or course:CODE@TERM."),
    )
    on_error = serializers.ChoiceField(choices=OnError.values, default=OnError.ABORT.value)
    review = serializers.ChoiceField(
        choices=Review.values,
        default=Review.ALWAYS.value,
        help_text=_(
            "always: waits for approval. needed: only where a full file would end much. dry_run: never applied."
        ),
    )
    again = serializers.ChoiceField(
        choices=[TRUE, "false"], default="false", help_text=_("Even if it is the file that was applied last.")
    )

    def get_fields(self) -> dict[str, Any]:
        """Add the options of all kinds."""
        own = {option.name: option for importer in kinds().values() for option in importer.options}
        fields = super().get_fields()
        for name, option in own.items():
            fields[name] = (
                serializers.ChoiceField(choices=list(option.choices), required=False, help_text=str(option.help))
                if option.choices
                else StrictCharField(max_length=64, required=False, validators=[plain_text], help_text=str(option.help))
            )
        return fields

    @property
    def options(self) -> dict[str, str]:
        """The options that belong to a kind."""
        own = {option.name for importer in kinds().values() for option in importer.options}
        return {name: str(value) for name, value in self.validated_data.items() if name in own}


class ApprovalSerializer(KnownFieldsSerializer):
    """Nothing has to be said."""


@request_example({"dry_run": True})
class UndoSerializer(KnownFieldsSerializer):
    dry_run = StrictBooleanField(default=False, help_text=_("Only tell what would happen."))


class ReportErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    field = serializers.CharField(allow_null=True)
    message = serializers.CharField()


@example(REPORT_ROW)
class ReportRowSerializer(serializers.Serializer[Any]):
    """A row as it came, and what became of it; the id is named after what it is of, enrollment_id for example."""

    part = serializers.CharField(required=False, help_text=_("The file in a zip."))
    row = serializers.IntegerField(allow_null=True, help_text=_("Null for what stands in no file."))
    outcome = serializers.CharField()
    errors: Any = ReportErrorSerializer(many=True)
    note = serializers.CharField()
    cells = serializers.DictField(child=serializers.CharField())
