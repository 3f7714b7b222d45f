"""
Search the prose of the repository for patterns that are not plain English: `python -m tools.language`.

A clause without a noun ("Who is refused …", "What is said …") and metaphors make a reader read twice. CONTRIBUTING.md
has the rules.
"""

import re
import sys
from collections.abc import Iterator
from itertools import chain

from tools import prose

# A clause that begins with a bare "who" or "what" in place of a noun. A question ends with a question mark.
BARE = re.compile(
    r"(?:^|[.:;!?]\s+|\n\s*\n\s*|[-*]\s+)(?:Who|What|Whoever|Whatever|Of whom|Whom)\b(?![^.!?]*\?)[^.!?]*"
)
BARE_NAME = re.compile(r"^(?:who|what|whoever|whatever)\b.*")
PHRASES = re.compile(
    r"\b(?:parted by|parted from|let go of|lets go of|stands? in the way|stands? in for|is told|are told|in company"
    r"|of whom|is nobody's|nobody's loss|is spoken|foresees?|foreseen|as it stands|put right|taken back"
    r"|takes? back|wishes? of|at the door|the desk|taken for|for want of|in want of|in vain|holds? \S+ against)\b",
    re.IGNORECASE,
)
# A comment that begins like "# of a row" lacks its noun. An enumeration must be complete or have an example.
COMMENT = re.compile(r"^of\b.*|\b(?:and so on|etc)\b(?!\.?/).*")
# A summary that says "Tell whether …" or "Return what …" does not name the result.
SUMMARY = re.compile(
    r"^(?:Tell|Say|See) (?:whether|what|how|where|who)\b.*|^(?:Return|Yield) (?:what|who|whom)\b(?! ``).*"
)


def faults() -> Iterator[tuple[prose.Text, str]]:
    """Yield each text that matches a pattern, with the matching part."""
    texts = chain(
        prose.docstrings(*prose.CODE),
        prose.comments(*prose.CODE),
        prose.messages(),
        prose.documents(),
    )
    for each in texts:
        for pattern in (BARE, PHRASES):
            yield from ((each, match[0].strip()) for match in pattern.finditer(each.text))
    for each in prose.comments(*prose.CODE):
        yield from ((each, match[0]) for match in COMMENT.finditer(each.text))
    for each in prose.docstrings(*prose.CODE):
        yield from ((each, match[0]) for match in SUMMARY.finditer(each.text))
    for each in prose.test_names():
        for pattern in (BARE_NAME, PHRASES):
            yield from ((each, match[0]) for match in pattern.finditer(each.text))


def main() -> int:
    found = [f"{each.place}: {part[:100]}" for each, part in faults()]
    print("\n".join(found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
