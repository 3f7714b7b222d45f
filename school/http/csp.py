"""The Content-Security-Policy header: pages load resources only from this server, without inline scripts or styles."""

from typing import Any

from django.http import HttpRequest

# Forms are sent only to this server and no site may frame the pages; images in stylesheets are ``data:`` URLs.
DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def serialize(directives: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in directives.items())


POLICY = serialize(DIRECTIVES)
# Alpine.js, which the theme uses, compiles functions from attributes. Inline scripts are forbidden here too.
ADMIN_POLICY = serialize({**DIRECTIVES, "script-src": "'self' 'unsafe-eval'"})


class ContentSecurityPolicyMiddleware:
    """Sets the header on HTML responses. Other responses, such as JSON, do not need the header."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        response: Any = self.get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            is_admin = request.path_info.startswith("/admin/")
            response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY if is_admin else POLICY)
        return response
