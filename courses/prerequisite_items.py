"""
The items of a course's prerequisites, in JSON and as text.

An item is the code of a course, a list of codes of which one is enough, or an object with a course and the grade that
is needed at least: ``"MATH-1"``, ``["CS-1", "CS-2"]``, ``{"course": "STAT-2", "grade": "C"}``. In a file and in a form
they are written ``MATH-1, CS-1|CS-2, STAT-2>=C``.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from school.fields import ListField
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from school.text_normalization import normalized

Item = str | list[str] | dict[str, str]

MAX_ITEMS = 50  # the number of prerequisites, and of corequisites, that a course can get
MAX_ALTERNATIVES = 20

_TOKEN = re.compile(
    r'"(?P<quoted>(?:[^"]|"")*)"|(?P<separator>[,\r\n])|(?P<operator>\||>=)|(?P<space>\s+)'
    r'|(?P<word>(?:(?!>=)[^\s,|"])(?:(?!>=)[^\s,|])*)|(?P<other>.)'
)
Token = tuple[str, str]  # the kind of a token, and its text


class PrerequisitesField(ListField):
    """A list of items."""

    def parse_cell(self, text: str) -> list[Item]:
        """Return the value for the text of a cell; raise ``ValidationError``."""
        return parse_items(text)


class CodesField(PrerequisitesField):
    """A list of codes of courses."""

    def parse_cell(self, text: str) -> list[Item]:
        """Return the codes in the text of a cell; raise ``ValidationError`` for alternatives and grades."""
        return parse_codes(text)


def codes_of(item: Item) -> list[str]:
    """Return the codes of the courses that an item names."""
    match item:
        case str():
            return [item]
        case dict():
            return [item["course"]]
    return item


def all_codes(items: Iterable[Item]) -> list[str]:
    """Return the codes that items name, each once, in their order."""
    return list(dict.fromkeys(code for item in items for code in codes_of(item)))


def minimum_grades(items: Iterable[Item]) -> set[str]:
    return {item["grade"] for item in items if isinstance(item, dict)}


def is_met(item: Item, has_passed: Callable[[str, str], bool]) -> bool:
    """
    Return True if a student meets an item.

    ``has_passed`` says of a code and a grade whether the student has completed the course with that grade at least;
    with an empty grade, whether the student has passed it.
    """
    minimum = item["grade"] if isinstance(item, dict) else ""
    return any(has_passed(code, minimum) for code in codes_of(item))


def distinct_items(items: Iterable[Item]) -> list[Item]:
    """Return the items, each once. Alternatives that are only one code become that code."""
    found: dict[str, Item] = {}
    for item in items:
        if isinstance(item, list):
            codes = list(dict.fromkeys(item))
            item = codes if len(codes) > 1 else codes[0]
        found.setdefault(json.dumps(item, sort_keys=True), item)
    return list(found.values())


def limit_refusals(items: Collection[Item], stored: Collection[Item], field: str) -> list[Refusal]:
    """
    Return the refusals of a list with too many items, or too many alternatives in an item.

    The ``stored`` list is accepted as it is: it may be from before the limits.
    """
    if items == stored:
        return []
    refusals = []
    if len(items) > MAX_ITEMS:
        message = _("Give at most %(number)s courses or groups of alternatives.")
        refusals.append(Refusal("max_length", message % {"number": MAX_ITEMS}, field=field))
    if any(isinstance(item, list) and len(item) > MAX_ALTERNATIVES for item in items):
        message = _("Give at most %(number)s alternatives in a group.")
        refusals.append(Refusal("max_length", message % {"number": MAX_ALTERNATIVES}, field=field))
    return refusals


def rename_code(items: Iterable[Item], code: str, new_code: str) -> list[Item]:
    """Return the items with a new code in place of another one."""

    def rename(item: Item) -> Item:
        match item:
            case str():
                return new_code if item == code else item
            case dict():
                return {**item, "course": new_code} if item["course"] == code else item
        return [new_code if each == code else each for each in item]

    return distinct_items(map(rename, items))


def describe(item: Item) -> str:
    """Return the text for an item in a message, in the current language."""
    match item:
        case str():
            return item
        case dict():
            return gettext("%(course)s with the grade %(grade)s or better") % item
    return gettext("%(codes)s or %(last)s") % {"codes": ", ".join(item[:-1]), "last": item[-1]}


def format_items(items: Iterable[Item]) -> str:
    """Return the text that ``parse_items`` reads as these items."""
    return ", ".join(map(_format_item, items))


def _format_item(item: Item) -> str:
    match item:
        case str():
            return _quoted_if(item, r'[,"|\r\n]|>=')
        case dict():
            return ">=".join(_quoted_if(item[name], r'[,"|\s]|>=') for name in ("course", "grade"))
    return "|".join(_quoted_if(code, r'[,"|\s]|>=') for code in item)


def _quoted_if(text: str, special: str) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if re.search(special, text) else text


def parse_items(text: str) -> list[Item]:
    """
    Return the items of a text; raise ``ValidationError``.

    Commas and ends of lines separate items. So do blanks next to an item with ``|`` or ``>=``; otherwise a blank is
    part of a code. A code in quotation marks may contain any character.
    """
    return distinct_items(item for segment in _segments(text) for item in _parse_segment(segment))


def parse_codes(text: str) -> list[Item]:
    """Return the codes of a text, separated by commas; raise ``ValidationError`` for alternatives and grades."""
    items = parse_items(text)
    for item in items:
        if not isinstance(item, str):
            message = _("%(text)s is not the code of a course.") % {"text": _format_item(item)}
            raise ValidationError(message, code="invalid")
    return items


def split_codes(items: Iterable[Item], known_codes: Callable[[Collection[str]], Collection[str]]) -> list[Item]:
    """
    Split a code with blanks into several codes if no course has it, and a course has each of its words.

    ``known_codes`` returns those of some codes that courses have. It is called only if a code has a blank.
    """
    items = list(items)
    words = {item: item.split() for item in items if isinstance(item, str) and " " in item}
    if not words:
        return items
    known = set(known_codes({code for item in words for code in (item, *words[item])}))
    split = {item for item in words if item not in known and known.issuperset(words[item])}
    return distinct_items(
        part for item in items for part in (words[item] if isinstance(item, str) and item in split else [item])
    )


def _segments(text: str) -> Iterator[list[Token]]:
    """Yield the tokens of the parts of a text between its separators."""
    segment: list[Token] = []
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "separator":
            yield segment
            segment = []
        else:
            kind = str(match.lastgroup)
            value = match["quoted"].replace('""', '"') if kind == "quoted" else match.group()
            segment.append((kind, value))
    yield segment


def _parse_segment(segment: list[Token]) -> Iterator[Item]:
    if not any(kind == "operator" for kind, _text in segment):
        if code := normalized("".join(text for _kind, text in segment)):
            yield code
        return
    for tokens in _split_at_blanks(segment):
        yield _parse_item(tokens)


def _split_at_blanks(segment: list[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each item. Blanks beside an operator do not separate."""
    tokens: list[Token] = []
    is_separated = False
    for kind, text in segment:
        if kind == "space":
            is_separated = True
            continue
        if is_separated and tokens and "operator" not in (kind, tokens[-1][0]):
            yield tokens
            tokens = []
        is_separated = False
        tokens.append((kind, text))
    yield tokens


def _parse_item(tokens: list[Token]) -> Item:
    operators = [text for kind, text in tokens if kind == "operator"]
    codes = [normalized(text) for kind, text in tokens if kind != "operator"]
    is_alternating = [kind == "operator" for kind, _text in tokens] == [place % 2 == 1 for place in range(len(tokens))]
    if is_alternating and len(tokens) % 2 and all(codes):
        if not operators:
            return codes[0]
        if set(operators) == {"|"}:
            return codes
        if operators == [">="]:
            return {"course": codes[0], "grade": codes[1]}
    message = _("%(text)s is not a prerequisite. Write a code, several as in %(alternatives)s, or %(with_grade)s.")
    parts = {"text": "".join(text for _kind, text in tokens), "alternatives": "CS-1|CS-2", "with_grade": "STAT-2>=C"}
    raise ValidationError(message % parts, code="invalid_prerequisite")
