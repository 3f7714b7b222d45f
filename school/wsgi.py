"""The entry point of a WSGI server."""

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

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "school.settings")
# A request holds a thread while it waits: it gives up early, and is answered 503.
os.environ.setdefault("LOCK_TIMEOUT", "5")
os.environ.setdefault("DATABASE_TIMEOUT", "5")


class Request(WSGIRequest):
    """
    A request in UTF-8. One in anything else is turned away at the door.

    Django reads the query by the charset of the body, before any middleware: "rot13" would be a 500, "zip" unpack.
    """

    @cached_property
    def host(self) -> str:
        return super().get_host()

    def get_host(self) -> str:
        """Return the host that is asked, looked at once."""
        return self.host

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()

# Between two requests Django forgets queries that nobody has kept, looks for caches that hold something open, and goes
# back to the list of addresses that there is. None of that has an effect here.
request_started.disconnect(reset_queries)
request_finished.disconnect(close_caches)
request_finished.disconnect(reset_urlconf)

# What is loaded by now stays, and the collector need not look through it. A request leaves little behind that only the
# collector can clear away.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)
