"""
Reports of unexpected errors to Sentry, or to a service that speaks its protocol, if SENTRY_DSN is set.

The library is an optional requirement, requirements-sentry.txt. As in the logs, a report contains no personal data: no
request, no user, no values of variables, and not the texts of errors, which quote rows and input.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from school.observability.logging import current_request_id

# The parts of an event that contain no data of a person or a request.
KEPT = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment", "sdk", "exception", "modules")
KEPT_OF_EXCEPTION = ("type", "module", "stacktrace", "mechanism")
KEPT_OF_FRAME = ("filename", "abs_path", "function", "module", "lineno", "in_app")


def start_error_reports(dsn: str, *, release: str) -> None:
    """Send unexpected errors of this process. Raise ``ImproperlyConfigured`` if that is not possible."""
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError:
        raise ImproperlyConfigured("SENTRY_DSN needs: pip install -r requirements-sentry.txt") from None
    try:
        sentry_sdk.init(
            dsn,
            release=release,
            before_send=remove_personal_data,
            send_default_pii=False,
            include_local_variables=False,
            include_source_context=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            server_name="",
            traces_sample_rate=None,
            auto_session_tracking=False,
        )
    except BadDsn:  # its text has the DSN
        raise ImproperlyConfigured("SENTRY_DSN is malformed.") from None


def remove_personal_data(event: Any, hint: dict[str, Any]) -> Any:
    """
    Return a report with only the type and the stack of an error, and the id of its request, which the log has.

    Return None, for no report, if the event is no error but a message.
    """
    if "exception" not in event:
        return None
    kept = {name: event[name] for name in KEPT if name in event}
    values = event["exception"].get("values") or []
    kept["exception"] = {"values": [_exception(value) for value in values]}
    if request_id := current_request_id():
        kept["tags"] = {"request_id": request_id}
    return kept


def _exception(value: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value[name] for name in KEPT_OF_EXCEPTION if value.get(name)}
    kept["mechanism"] = {"type": "generic", "handled": False}
    frames = (value.get("stacktrace") or {}).get("frames") or []
    kept["stacktrace"] = {
        "frames": [{name: frame[name] for name in KEPT_OF_FRAME if name in frame} for frame in frames]
    }
    return kept
