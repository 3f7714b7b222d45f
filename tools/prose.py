"""The prose of the repository: docstrings, comments, messages, documents and test names, each with its place."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("school", "bulk", "courses", "students", "webhooks")
CODE = (*PRODUCT, "tests", "bench", "stress", "tools")


BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)  # a block of code in a document


class Text(NamedTuple):
    """A piece of prose. ``place`` is a path with a line, or the kind of the text."""

    place: str
    text: str


def modules(*folders: str) -> Iterator[Path]:
    """Yield the Python files of these folders, without migrations."""
    for folder in folders:
        yield from sorted(each for each in (ROOT / folder).rglob("*.py") if "migrations" not in each.parts)


def _place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def docstrings(*folders: str) -> Iterator[Text]:
    """Yield the docstring of each module, class and function."""
    for path in modules(*folders):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield Text(_place(path, getattr(node, "lineno", 1)), text)


def comments(*folders: str) -> Iterator[Text]:
    """Yield the comments; lines that follow each other are one comment."""
    for path in modules(*folders):
        lines: list[str] = []
        last = first = 0
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type != tokenize.COMMENT or re.match(r"# (noqa|type:|fmt:)|#!", token.string):
                continue
            is_whole_line = not token.line[: token.start[1]].strip()
            if lines and (token.start[0] != last + 1 or not is_whole_line):
                yield Text(_place(path, first), " ".join(lines))
                lines = []
            first = first if lines else token.start[0]
            lines.append(token.string.lstrip("# "))
            last = token.start[0]
        if lines:
            yield Text(_place(path, first), " ".join(lines))


def messages() -> Iterator[Text]:
    """Yield the English texts that users read, as the catalogs have them."""
    with (ROOT / "locale" / "de" / "LC_MESSAGES" / "django.po").open("rb") as file:
        for message in read_po(file):
            ours = [place for place, _line in message.locations if place.startswith(PRODUCT)]
            if ours:
                texts = message.id if isinstance(message.id, tuple) else (message.id,)
                yield from (Text(ours[0], str(text)) for text in texts)


def documents() -> Iterator[Text]:
    """Yield the paragraphs of the documents, without code blocks and tables."""
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        text = BLOCK.sub(lambda match: "\n" * match[0].count("\n"), path.read_text())
        line = 1
        for paragraph in re.split(r"(\n\s*\n)", text):
            if paragraph.strip() and not paragraph.lstrip().startswith(("|", "#", "<")):
                yield Text(_place(path, line), " ".join(paragraph.split()))
            line += paragraph.count("\n")


def test_names() -> Iterator[Text]:
    """Yield the names of the tests as words."""
    for path in modules("tests"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield Text(_place(path, node.lineno), node.name.removeprefix("test_").replace("_", " "))
