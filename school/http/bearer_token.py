"""Recognition of a bearer token in a request's ``Authorization`` header."""

from django.http import HttpRequest

BEARER_PREFIX = "bearer "  # the scheme of the Authorization header, in lower case


def has_bearer_token(request: HttpRequest) -> bool:
    """Return True if the request has a bearer token, valid or not."""
    return bool(request.META.get("HTTP_AUTHORIZATION", "")[: len(BEARER_PREFIX)].lower() == BEARER_PREFIX)
