"""The identifiers of a person, and the texts in which they occur."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from bulk.files.cell_text import clean
from school.identifiers import likely_identifiers
from school.text_normalization import lookalike_key

# The minimum length of a number that is searched for within longer cells; a shorter number may mean a room, for
# example.
MIN_MENTION_LENGTH = 6


class Identifiers:
    """
    The identifiers of a person: numbers, emails and names.

    ``others`` are numbers of other students that differ from one of ``numbers`` in their spelling only.
    """

    def __init__(
        self, numbers: Iterable[str], emails: Iterable[str], names: Iterable[str] = (), others: Iterable[str] = ()
    ) -> None:
        self.numbers = frozenset(filter(None, numbers))
        self.emails = frozenset(email.lower() for email in emails if email)
        self.names = frozenset(filter(None, names))
        self.others = frozenset(others)
        self.folded_keys = frozenset(map(lookalike_key, self.numbers | self.emails))
        self.search_terms = sorted(
            {lookalike_key(spelled) for word in self.numbers | self.emails for spelled in _spellings(word)}
        )
        self.longest = max((len(term.encode("utf-8", "surrogateescape")) for term in self.search_terms), default=0)
        long_identifiers = [
            word for word in self.numbers | self.emails if "@" in word or len(word) >= MIN_MENTION_LENGTH
        ]
        self._long_identifier_pattern = _whole_word_pattern(
            {lookalike_key(spelled) for word in long_identifiers for spelled in _spellings(word)}
        )
        self._identifier_pattern = _whole_word_pattern(self.search_terms)
        self._text_pattern = _whole_word_pattern(
            {lookalike_key(each) for word in self.names for each in _spellings(word)}
        )

    def __or__(self, other: "Identifiers") -> "Identifiers":
        numbers, emails = self.numbers | other.numbers, self.emails | other.emails
        return Identifiers(numbers, emails, self.names | other.names, self.others | other.others)

    def may_occur_in(self, content: bytes | str) -> bool:
        """
        True if the text contains a number or an email, however it is spelled or escaped, also within a longer word.
        """
        text = content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
        folded_text = lookalike_key(text)
        return any(term in folded_text for term in self.search_terms)

    def occurs_in_cells(self, cells: Iterable[str]) -> bool:
        """True if one of these cells is a number or an email, or mentions one."""
        return any(self._is_in_cell(clean(cell)) for cell in cells if cell)

    def _is_in_cell(self, cell: str) -> bool:
        if cell in self.others:
            return False
        if any(lookalike_key(each).strip() in self.folded_keys for each in (cell, *likely_identifiers(cell))):
            return True
        return bool(self._long_identifier_pattern and self._long_identifier_pattern.search(lookalike_key(cell)))

    def find_mention(self, text: str) -> str:
        """Return the first number, email or name that a short text has as a whole word; "" if it has none."""
        match = self._text_pattern and self._text_pattern.search(lookalike_key(text))
        return match[0] if match else self.find_identifier(text)

    def find_identifier(self, text: str) -> str:
        """Return the first number or email that a text has as a whole word; "" if it has none."""
        match = self._identifier_pattern and self._identifier_pattern.search(lookalike_key(text))
        return match[0] if match else ""


def _spellings(word: str) -> Iterator[str]:
    """Yield an identifier as it is, and as CSV, JSON, URLs and HTML escape it."""
    yield from (word, word.replace('"', '""'), json.dumps(word)[1:-1], quote(word), quote(word, safe=""))
    yield from (html.escape(word), word.encode("ascii", "xmlcharrefreplace").decode())
    if word.isascii() and word.isdecimal():
        yield re.sub(r"\B(?=(\d{3})+$)", ",", word)  # the digits in groups, as a spreadsheet shows them


def _whole_word_pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for one of these words, neither preceded nor followed by a letter or a digit."""
    parts = [re.escape(word) for word in sorted(words, key=len, reverse=True)]
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(parts)})(?![^\W_])") if parts else None
