"""The serializers that describe problems in the OpenAPI document."""

from typing import Any

from rest_framework import serializers


class ProblemReasonSerializer(serializers.Serializer[Any]):
    """One reason why a request was refused."""

    code = serializers.CharField()
    field = serializers.CharField(allow_null=True)
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """The body of every error response: a problem in the format of RFC 9457."""

    type = serializers.CharField(help_text="The URL of the page about this code.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="A stable code for programs.")
    errors = ProblemReasonSerializer(many=True)  # type: ignore[assignment]  # DRF removes it from the class
    missing_scope = serializers.CharField(required=False, help_text="The scope that the token lacks.")
    missing_permission = serializers.CharField(required=False, help_text="The permission that the user lacks.")
    request_id = serializers.CharField(help_text="The same as in the X-Request-ID header and in the log.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """
        Add the member ``import``, which some problems have.

        It cannot be a class attribute, because ``import`` is a keyword of Python.
        """
        active = serializers.IntegerField(required=False, help_text="Of import_in_progress: the active import.")
        return {**super().get_fields(), "import": active}
