"""The manual in the admin: the pages and pictures of ``docs/``, for all staff."""

from functools import cache
from itertools import pairwise
from pathlib import Path

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt

KINDS = (".md", ".png")


def manual(request: HttpRequest, name: str) -> HttpResponse:
    """Show a page of the manual, or send one of its pictures. Links between pages are relative, so they work here."""
    path = _files().get(name)
    if path is None:
        raise Http404
    if path.suffix != ".md":
        return HttpResponse(path.read_bytes(), content_type="image/png")
    title, html = _rendered(path)
    context = {**admin.site.each_context(request), "title": title or _("Manual"), "html": html}
    return render(request, "school/manual.html", context)


@cache
def _files() -> dict[str, Path]:
    """Return the files of the manual by their names; no other file can be requested."""
    folder = Path(settings.BASE_DIR) / "docs"
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in KINDS}


@cache
def _rendered(path: Path) -> tuple[str, SafeString]:
    """Return the title and the HTML of a page. Its headings have the ids that links on GitHub use."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(path.read_text(encoding="utf-8"))
    title = ""
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            title = title or content.content
            heading.attrSet("id", slugify(content.content))
    return title, mark_safe(parser.renderer.render(tokens, parser.options, {}))  # noqa: S308  # the text is our own
