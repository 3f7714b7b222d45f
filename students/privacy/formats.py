"""Writes the export of a person's data as JSON or as an HTML page."""

import json
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.template.loader import render_to_string


def as_json(held: dict[str, Any]) -> str:
    return json.dumps(held, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)


def as_html(held: dict[str, Any]) -> str:
    return render_to_string("students/personal_data_export.html", {"held": held})


WRITERS: dict[str, Callable[[dict[str, Any]], str]] = {"json": as_json, "html": as_html}
