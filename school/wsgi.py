"""The WSGI application."""

import gc
import os
from importlib import import_module

import django
from django.conf import settings
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.signals import request_finished, request_started
from django.db import reset_queries
from django.utils.functional import cached_property
from django.utils.http import parse_header_parameters

from school import environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "school.settings")
# A request that waits for the database occupies a thread. So it times out early, with status 503.
environment.default_timeout = 5


class Request(WSGIRequest):
    """
    A request that is always read as UTF-8. ``school.http.request_checks`` rejects other charsets.

    Django decodes the query by the charset of the Content-Type header, before any middleware: "rot13" would cause a
    500, and "zip" would decompress data.
    """

    @cached_property
    def host(self) -> str:
        return super().get_host()

    def get_host(self) -> str:
        """Return the requested host, validated once per request."""
        return self.host

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()

# Between requests Django clears the query log, closes caches and resets the URL configuration. None of that has an
# effect here.
request_started.disconnect(reset_queries)
request_finished.disconnect(close_caches)
request_finished.disconnect(reset_urlconf)

# Objects loaded so far stay for the life of the process, so the garbage collector need not scan them. Requests leave
# few objects that only the collector can free, so it can run less often.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)
