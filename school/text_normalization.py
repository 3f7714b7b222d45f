"""Normalization of texts: Unicode form, blanks, emails, and keys of texts that look alike."""

import re
import unicodedata
from functools import lru_cache
from itertools import chain
from typing import Literal

# Characters that are invisible although Unicode classifies them as letters, marks and symbols: fillers, variation
# selectors, the blank Braille pattern.
_BLANK_CHARACTERS = {
    *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
}


def is_invisible(character: str) -> bool:
    """Return True for whitespace, format characters and fillers, but not for other control characters."""
    return (
        character.isspace()
        or unicodedata.category(character) in ("Cf", "Zs", "Zl", "Zp")
        or ord(character) in _BLANK_CHARACTERS
    )


# The characters that are trimmed from the ends of every value.
# Between the two ranges, Unicode has ideographs and no invisible characters.
INVISIBLE = "".join(each for each in map(chr, chain(range(0x20000), range(0xE0000, 0xE0200))) if is_invisible(each))

# The maximum length of a run of combining marks. Python sorts the marks after a letter in quadratic time: a million of
# them take half an hour.
_MARKS = re.escape("".join(character for character in map(chr, range(0x20000)) if unicodedata.combining(character)))
_MANY_MARKS = re.compile(f"[{_MARKS}]{{31,}}")


def normalize_unicode(form: Literal["NFC", "NFKC"], text: str) -> str:
    """Return ``unicodedata.normalize(form, text)`` without quadratic time: long runs of marks are sorted first."""
    if len(text) > 31:
        text = _MANY_MARKS.sub(lambda marks: "".join(sorted(marks[0], key=unicodedata.combining)), text)
    return unicodedata.normalize(form, text)


def normalized(text: str) -> str:
    """Return the form in which a text is stored and compared: NFC, without invisible characters at its ends."""
    if text.isascii():
        return text if text[:1] > " " and text[-1:] > " " else text.strip(INVISIBLE)  # most texts have nothing to trim
    return normalize_unicode("NFC", text).strip(INVISIBLE)


def normalized_email(text: str) -> str:
    """
    Return the form in which an email address is stored and compared: its domain is in lower case.

    The rest of a valid address is ASCII, so that both databases compare addresses alike.
    """
    local, at, domain = normalized(text).rpartition("@")
    if domain.isascii():
        return f"{local}{at}{domain.lower()}"
    domain = normalize_unicode("NFKC", normalize_unicode("NFKC", domain).lower())
    return normalized(f"{local}{at}{domain}")


def lookalike_key(text: str) -> str:
    """
    Return a key that is equal for texts that look alike.

    It ignores case, invisible characters, full-width forms, kinds of dashes, and Unicode's ways to compose a letter.
    """
    return text.lower() if text.isascii() else _NOT_ASCII.sub(_fold_run, text.lower())


# Short pieces, because the time to sort a run of combining characters grows with the square of its length.
_NOT_ASCII = re.compile(r"[^\x00-\x7f]{1,200}")


def _fold_run(run: re.Match[str]) -> str:
    text = unicodedata.normalize("NFKD", run[0])
    return unicodedata.normalize("NFKD", "".join(map(_fold_character, text)).casefold())


@lru_cache(maxsize=1024)
def _fold_character(character: str) -> str:
    if character.isspace():
        return " "
    if is_invisible(character):
        return ""
    plain = plain_equivalent(character)
    return plain if plain.isascii() else character


def is_plain(text: str) -> bool:
    """Return True for a text without control characters: no line breaks, no tabs, no NUL."""
    return text.isprintable() or not any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in text)


# Characters that look like an ASCII character of identifiers, besides those that NFKC converts to one.
_LOOK_ALIKES = {
    **dict.fromkeys(
        "\N{MINUS SIGN}\N{HYPHEN BULLET}\N{MODIFIER LETTER MINUS SIGN}\N{HEAVY MINUS SIGN}\N{SWUNG DASH}"
        "\N{BOX DRAWINGS LIGHT HORIZONTAL}\N{BOX DRAWINGS HEAVY HORIZONTAL}\N{HORIZONTAL LINE EXTENSION}"
        "\N{MODIFIER LETTER MACRON}",
        "-",
    ),
    **dict.fromkeys("\N{FRACTION SLASH}\N{DIVISION SLASH}\N{BIG SOLIDUS}", "/"),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u2039\u203a", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
}


@lru_cache(maxsize=1024)
def plain_equivalent(character: str) -> str:
    """Return the plain equivalent of a character: a hyphen for a dash, A for a full-width A."""
    plain = unicodedata.normalize("NFKC", character)
    if plain[:1] in _LOOK_ALIKES:
        return "".join(_LOOK_ALIKES.get(each, each) for each in plain)
    return "-" if unicodedata.category(plain[:1] or " ") == "Pd" else plain
