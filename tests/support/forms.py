"""The values that a browser would submit for a form of a page."""

from html.parser import HTMLParser
from typing import Any


class _Form(HTMLParser):
    def __init__(self, ending: str) -> None:
        super().__init__()
        self.ending = ending
        self.sent: dict[str, Any] = {}
        self.is_in_form = False
        self.select: dict[str, Any] = {}
        self.textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.is_in_form = (given.get("id") or "").endswith(self.ending)
        name = given.get("name")
        if not self.is_in_form or "disabled" in given:
            return
        if tag == "input" and name and given.get("type") not in ("submit", "button", "file"):
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.sent[name] = given.get("value") or ("on" if given.get("type") == "checkbox" else "")
        elif tag == "select":
            self.select = given
            self.sent |= {name: []} if "multiple" in given and name else {}
        elif tag == "option" and self.select.get("name") and "selected" in given:
            if "multiple" in self.select:
                self.sent[self.select["name"]].append(given.get("value") or "")
            else:
                self.sent[self.select["name"]] = given.get("value") or ""
        elif tag == "textarea" and name:
            self.textarea, self.sent[name] = name, ""

    def handle_data(self, data: str) -> None:
        if self.textarea:
            self.sent[self.textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_in_form = False
        elif tag == "textarea":
            self.textarea = ""


def form_in(page: Any, ending: str = "_form") -> dict[str, Any]:
    """Return the values of the form whose id has this ending."""
    parser = _Form(ending)
    parser.feed(page.content.decode())
    return parser.sent
