"""Serializers of the imports API."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from bulk.importers.registry import importer_classes
from bulk.models import DEFAULT_DATASET, ZIP, Import, Mode, OnError, Review, rows_per_second
from school.api.fields import StrictCharField
from school.api.openapi.example_decorators import example, request_example
from school.api.row_json import ComputedField
from school.api.serializers import DryRunMixin, KnownFieldsSerializer, StrictModelSerializer
from school.validators import plain_text

KINDS = [*settings.IMPORT_KINDS, ZIP]

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
    "warnings": [{"code": "unknown_columns", "field": None, "message": "Ignored unknown columns: note"}],
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
    """
    A reason why the whole file was not applied, or would not be applied after a dry run; or a notice to the sender.
    """

    code = serializers.CharField()
    field = serializers.CharField(allow_null=True, required=False)
    message = serializers.CharField()


class ImportWarningSerializer(ImportProblemSerializer):
    """A warning about columns, rows or files that were ignored."""


def _serialized_problems(request: Any, stored: list[dict[str, Any]]) -> Any:
    return ImportProblemSerializer(stored, many=True).data if stored else stored


def _rows_per_second(
    request: Any, counts: dict[str, int], started_at: str | None, finished_at: str | None
) -> float | None:
    start, end = (datetime.fromisoformat(each) if each else None for each in (started_at, finished_at))
    return rows_per_second(counts, start, end)


@example(IMPORT)
class ImportSerializer(StrictModelSerializer):
    """An import: its file, its parameters, its state and its counts."""

    kind = serializers.ChoiceField(choices=[*KINDS, "undo"], help_text=_("The kind of the rows, or `undo`."))
    problems = ImportProblemSerializer(many=True)
    warnings = ImportWarningSerializer(many=True)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text=_("The number of rows by outcome."))
    options = serializers.DictField(child=serializers.CharField())
    rows_done = serializers.IntegerField(source="progress.rows", read_only=True)
    actor: Any = serializers.SlugRelatedField("username", read_only=True, allow_null=True, help_text="A user name.")
    approved_by: Any = serializers.SlugRelatedField(
        "username", read_only=True, allow_null=True, help_text="A user name."
    )
    rows_per_second = serializers.FloatField(read_only=True, allow_null=True)
    computed = {
        "problems": ComputedField(("problems",), _serialized_problems),
        "warnings": ComputedField(("warnings",), _serialized_problems),
        "rows_per_second": ComputedField(("counts", "started_at", "finished_at"), _rows_per_second),
    }

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
            "warnings",
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


@extend_schema_field({"type": "string", "enum": KINDS})
class KindField(StrictCharField):
    """
    The kind of a file.

    The field accepts any text, because a check that all entry points share refuses unknown kinds.
    """


class BooleanTextField(serializers.BooleanField):
    """A boolean in a form or in the query: the text ``true`` or ``false``, also capitalized or in upper case."""

    TRUE_VALUES = {"true", "True", "TRUE"}
    FALSE_VALUES = {"false", "False", "FALSE"}
    NULL_VALUES = set()


@extend_schema_serializer(component_name="Import")
@request_example({"file": "student_number,course_code", "kind": "enrollments"}, "multipart/form-data")
class ImportRequestSerializer(KnownFieldsSerializer):
    """The parameters of a new import. All except the file may be in the form or in the query."""

    file = serializers.FileField(write_only=True)
    kind = KindField(max_length=32, help_text=_("The kind of the rows, or `zip` for an archive with several files."))
    dataset = StrictCharField(
        max_length=64,
        default=DEFAULT_DATASET,
        validators=[plain_text],
        help_text=_("The source of the file. Only one import of a dataset can be active."),
    )
    mode = serializers.ChoiceField(choices=Mode.values, default=Mode.DELTA.value)
    scope = StrictCharField(
        max_length=128,
        allow_blank=True,
        default="",
        validators=[plain_text],
        help_text=_("The scope of a full file: term:CODE or course:CODE@TERM; of holds, all or code:CODE."),
    )
    on_error = serializers.ChoiceField(choices=OnError.values, default=OnError.ABORT.value)
    review = serializers.ChoiceField(
        choices=Review.values,
        default=Review.ALWAYS.value,
        help_text=_(
            "always: the import needs approval. needed: it needs approval only if a full file would end many "
            "enrollments. dry_run: it is never applied."
        ),
    )
    again = BooleanTextField(
        default=False, help_text=_("Import the file even if it is the last file that was applied.")
    )

    def to_internal_value(self, data: Any) -> Any:
        """Return the values. An optional field without text is missing, because a form sends its empty fields too."""
        optional = {name for name, field in self.fields.items() if not field.required}
        return super().to_internal_value(
            {name: value for name, value in data.items() if value != "" or name not in optional}
        )

    def get_fields(self) -> dict[str, Any]:
        """Add the options of all kinds."""
        options_by_name = {
            option.name: option for importer in importer_classes().values() for option in importer.options
        }
        fields = super().get_fields()
        for name, option in options_by_name.items():
            fields[name] = (
                serializers.ChoiceField(choices=list(option.choices), required=False, help_text=str(option.help))
                if option.choices
                else StrictCharField(max_length=64, required=False, validators=[plain_text], help_text=str(option.help))
            )
        return fields

    @property
    def options(self) -> dict[str, str]:
        """The values of the options that only some kinds of files have."""
        options_by_name = {option.name for importer in importer_classes().values() for option in importer.options}
        return {name: str(value) for name, value in self.validated_data.items() if name in options_by_name}


class CancellationSerializer(KnownFieldsSerializer):
    """An empty body: a cancellation takes no fields."""


@request_example({"on_error": "skip"})
class ApprovalSerializer(KnownFieldsSerializer):
    on_error = serializers.ChoiceField(
        choices=OnError.choices,
        required=False,
        help_text=_("Replaces the on_error of the upload. abort is refused if the preview has errors."),
    )


@request_example({"dry_run": True})
class UndoSerializer(DryRunMixin):
    """The body of an undo."""


class ReportErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    field = serializers.CharField(allow_null=True)
    message = serializers.CharField()


@example(REPORT_ROW)
class ReportRowSerializer(serializers.Serializer[Any]):
    """
    A row of the report: its original cells and its result.

    The id field is named after the kind, for example ``enrollment_id``.
    """

    part = serializers.CharField(
        required=False, help_text=_("The part of a zip import: terms, students, courses or enrollments.")
    )
    row = serializers.IntegerField(
        allow_null=True, help_text=_("Null for results that are not about a row of the file.")
    )
    outcome = serializers.CharField()
    errors: Any = ReportErrorSerializer(many=True)
    note = serializers.CharField()
    cells = serializers.DictField(child=serializers.CharField())
