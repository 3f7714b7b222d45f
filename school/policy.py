"""What a browser may fetch and run for our pages: what comes from here, and nothing that stands within a page."""

from typing import Any

from django.http import HttpRequest

# Pages lead nowhere and are framed nowhere; pictures of styles come as data.
SOURCES = {
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


def written(sources: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in sources.items())


EVERYWHERE = written(SOURCES)
# The theme's Alpine makes functions of what stands in attributes. No script comes from within a page here either.
IN_THE_ADMIN = written({**SOURCES, "script-src": "'self' 'unsafe-eval'"})


class ContentSecurityPolicyMiddleware:
    """Say it with every page. What is no page, an answer in JSON for example, goes by."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        response: Any = self.get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            is_admin = request.path_info.startswith("/admin/")
            response.headers.setdefault("Content-Security-Policy", IN_THE_ADMIN if is_admin else EVERYWHERE)
        return response
