"""Writes the export of a person's data as JSON or as an HTML page."""

import json
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.template.loader import render_to_string


def as_json(export: dict[str, Any]) -> str:
    return json.dumps(export, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)


def as_html(export: dict[str, Any]) -> str:
    return render_to_string("students/personal_data_export.html", {"export": export})


WRITERS: dict[str, Callable[[dict[str, Any]], str]] = {"json": as_json, "html": as_html}
