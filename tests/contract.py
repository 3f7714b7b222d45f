"""The API as its OpenAPI document tells it, for Schemathesis: in the same process, on the transaction of the test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from schemathesis.transport.serialization import serialize_binary

from school.wsgi import application

# The wait budget of requests, which the server's entry sets, is not for the commands that tests start.
for name in ("LOCK_TIMEOUT", "DATABASE_TIMEOUT"):
    os.environ.pop(name, None)


@schemathesis.serializer("application/zip")
def as_bytes(context: Any, value: Any) -> Any:
    """Send as it is what the fuzzer makes up for a zip."""
    return serialize_binary(value)


DOCUMENT: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)


# The components that are written out where an operation refers to them. Schemas and links keep their names.
SHARED = ("parameters", "responses", "headers", "examples")


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every operation, with its shared parts written out, under its method and path."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", _written_out(operation)


def _written_out(node: Any) -> Any:
    if isinstance(node, list):
        return [_written_out(each) for each in node]
    if not isinstance(node, dict):
        return node
    kind, _, name = str(node.get("$ref", "")).removeprefix("#/components/").partition("/")
    if kind in SHARED:
        return _written_out(DOCUMENT["components"][kind][name])
    return {key: _written_out(value) for key, value in node.items()}


def load(document: dict[str, Any]) -> Any:
    """Return a document as Schemathesis has it, answered by School."""
    schema = schemathesis.openapi.from_dict(deepcopy(document))
    schema.app = application
    return schema


@contextmanager
def connection_kept() -> Iterator[None]:
    """
    Keep the end of an in-process request from closing the connection that the test's transaction is on.

    Django's own client connects these signals again: it must not be used meanwhile.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
