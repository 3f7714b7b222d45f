"""
Serves the OpenAPI document.

Generating it takes a second of CPU, so each process renders each media type once.
"""

import hashlib
import json
import threading
from typing import Any

from django.http import HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.utils.translation import override
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from school.api.openapi.compact_yaml import compact

_rendered: dict[str, tuple[bytes, str]] = {}  # maps a media type to the document and its ETag
_lock = threading.Lock()


FORMATS = {"json": "application/json", "yaml": "application/yaml"}


class SchemaView(SpectacularAPIView):
    """Returns the document in English, as YAML or JSON according to ``format`` or ``Accept``, with an ETag."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Choose the renderer by the parameter ``format``, else by the header; raise ``ValidationError``."""
        format_name = request.query_params.get("format")
        if format_name is None or force:
            return super().perform_content_negotiation(request, force)
        if format_name not in FORMATS:
            message = _("Write one of: %(formats)s.") % {"formats": ", ".join(FORMATS)}
            raise ValidationError({"format": [ErrorDetail(message, code="invalid_choice")]})
        media_type = FORMATS[format_name]
        return next((each, media_type) for each in self.get_renderers() if each.media_type == media_type)

    def handle_exception(self, exc: Exception) -> Any:
        """Return a problem in JSON, even if the caller asked for YAML."""
        answer = super().handle_exception(exc)
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return answer

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        # The renderer's media type, not the request's: a client may add any parameter to the type that it accepts.
        media_type: str = request.accepted_renderer.media_type
        content, etag = self._document(request, media_type)
        response = HttpResponse(content, content_type=media_type, headers={"ETag": etag, "Cache-Control": "no-cache"})
        return get_conditional_response(request._request, etag=etag, response=response)

    def _document(self, request: Request, media_type: str) -> tuple[bytes, str]:
        with _lock:  # only the first of several concurrent callers generates the document; the others wait
            if media_type not in _rendered:
                with override("en"):
                    generator: Any = self.generator_class()
                    document = generator.get_schema(request=request, public=self.serve_public)
                content = JSONRenderer().render(document)
                if media_type != JSONRenderer.media_type:
                    content = compact(json.loads(content)).encode()
                _rendered[media_type] = content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            return _rendered[media_type]
