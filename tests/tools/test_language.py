"""The prose of the repository is plain English, as far as a program can tell."""

import ast
import re

from tools import prose
from tools.language import BARE, BARE_NAME, COMMENT, PHRASES, SUMMARY


def test_every_module_begins_with_a_docstring_of_one_sentence():
    modules = list(prose.modules(*prose.CODE))
    summaries = {path: (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0] for path in modules}

    assert [path for path, text in summaries.items() if not re.fullmatch(r"[A-Z`].+?[.]", text, re.DOTALL)] == []
    assert [path for path, text in summaries.items() if re.search(r"[.!?]\s+[A-Z]", text)] == []
    assert len(modules) > 400


def test_the_patterns_find_clauses_without_a_noun():
    assert BARE.search("Who is refused gets an error.")
    assert BARE.search("It is closed. What is said beside a problem is told.")
    assert not BARE.search("What can be waived? A registrar knows.")
    assert BARE_NAME.search("who waits gets a seat")
    assert not BARE_NAME.search("a student who waits gets a seat")
    assert PHRASES.search("Rules that stand in the way.")
    assert COMMENT.search("of a row")
    assert not COMMENT.search("the size of a row")
    assert SUMMARY.search("Return what the row says.")
    assert not SUMMARY.search("Return the text of the row.")


def test_each_kind_of_prose_is_found():
    kinds = [
        prose.docstrings("school"),
        prose.comments("school"),
        prose.messages(),
        prose.documents(),
        prose.test_names(),
    ]

    assert all(sum(1 for _text in kind) > 100 for kind in kinds)
