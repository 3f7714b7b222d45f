"""Student numbers, course codes and ids: their faults, likely corrections and similar spellings."""

import re
import unicodedata
from functools import lru_cache

from school.i18n.stored_messages import join_messages
from school.i18n.stored_messages import translatable as _
from school.text_normalization import is_invisible, normalized, plain_equivalent

_QUOTES = "\"'`"  # at the ends of an identifier, these characters come from the format of a file
REPLACEMENT_CHARACTERS = (
    # The characters with which programs replace characters that they have lost.
    "\N{OBJECT REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
)
_ORDINARY = re.compile(r"[ -.0-?A-~]*")  # all ASCII characters except "/", "@" and control characters
_LETTERS = re.compile(r"[^\W\d_]+")

# Identifiers have at most 64 characters. The characters of a longer text are checked one by one only up to here,
# because a request may send millions.
MAX_CHECKED = 200


def identifier_fault(text: str) -> str | None:
    """Return why a text cannot be an identifier, or None."""
    if fault := _spreadsheet_fault(text) or _end_fault(text):
        return fault
    text = text[:MAX_CHECKED]
    if not _ORDINARY.fullmatch(text):
        for position, character in enumerate(text, 1):
            if fault := character_fault(character, position):
                return fault
        if fault := _mixed_alphabets_fault(text):
            return fault
    return None


@lru_cache(maxsize=1024)
def _is_plain_character(character: str) -> bool:
    """Return True for a character that is visible and not a look-alike of another one."""
    if character.isascii():
        return character.isprintable() and character not in "/@"
    if character in REPLACEMENT_CHARACTERS or unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs"):
        return False
    return not is_invisible(character) and plain_equivalent(character) == character


def character_fault(character: str, position: int) -> str | None:
    if _is_plain_character(character):
        return None
    named = {"character": character_name(character), "position": position}
    plain = plain_equivalent(character)
    if is_invisible(character):
        return _("Remove the invisible %(character)s at position %(position)s.") % named
    if character in f"/@{REPLACEMENT_CHARACTERS}" or unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs"):
        return _("Remove %(character)s at position %(position)s.") % named
    if plain != character:
        return _("Write %(meant)s instead of %(character)s at position %(position)s.") % {**named, "meant": plain}
    return None


def _mixed_alphabets_fault(text: str) -> str | None:
    """Return a fault for a word with letters of several alphabets that look alike: a Cyrillic A in a Latin word."""
    for word in _LETTERS.finditer(text):
        alphabets = [unicodedata.name(letter, "").partition(" ")[0] for letter in word.group()]
        if len({"LATIN", "CYRILLIC", "GREEK"}.intersection(alphabets)) > 1:
            offset = next(place for place, each in enumerate(alphabets) if each in ("CYRILLIC", "GREEK"))
            named = {"character": character_name(word.group()[offset]), "position": word.start() + offset + 1}
            return _("%(character)s at position %(position)s is a letter of another alphabet. Replace it.") % named
    return None


_SCIENTIFIC_NOTATION = re.compile(r"-?\d+([.,]\d+)?E\+\d+", re.IGNORECASE)
_WITH_A_DECIMAL = re.compile(r"(\d+)[.,]0{1,2}")
_GROUPED = re.compile(r"\d{1,3}([,']\d{3})+([.]\d{1,2})?|\d{1,3}([.]\d{3})+,\d{1,2}")

# The texts of null values and of the labels of sum rows.
_PLACEHOLDERS = {"null", "nan", "undefined", "total", "gesamt", "summe"}
_ERROR_VALUE = re.compile(r"#[^\W\d_]+([/-][A-Z0])?[!?]|#N/?[AV]|#+")  # such as #REF!, #DIV/0!, #N/A, and #NV in German


def _spreadsheet_fault(text: str) -> str | None:
    """Return a fault for text that a spreadsheet or another program wrote instead of an identifier, with the remedy."""
    if text.startswith("="):
        return _("The value is a formula. Enter its result.")
    if text.lower() in _PLACEHOLDERS:
        return _("%(text)s means that there is no value, or marks a row of totals.") % {"text": text}
    if fault := error_value_fault(text):
        return fault
    if not text[:1].isdecimal() and not text.startswith("-"):
        return None
    if _SCIENTIFIC_NOTATION.fullmatch(text):
        message = _("A spreadsheet has shortened a number to %(text)s, and digits are lost.")
    elif _WITH_A_DECIMAL.fullmatch(text):
        message = _("A spreadsheet has added a decimal to a number: %(text)s.")
    elif _GROUPED.fullmatch(text):
        message = _("A spreadsheet has added separators to a number: %(text)s.")
    else:
        return None
    return join_messages([message % {"text": text}, _("Format the column as text and enter the value again.")])


def error_value_fault(text: str) -> str | None:
    """Return the fault of a spreadsheet's error value, such as #REF!; None for other texts."""
    if not text.startswith("#") or not _ERROR_VALUE.fullmatch(text):
        return None
    return _("%(text)s is the error value of a spreadsheet. Enter the value.") % {"text": text}


def _end_fault(text: str) -> str | None:
    """Return a fault for a quotation mark at an end, or for a "#", which begins a comment, at the start."""
    for position in (1, len(text)):
        character = text[position - 1 : position]
        plain = plain_equivalent(character)
        if character and (plain in _QUOTES or (plain == "#" and position == 1)):
            named = {"character": character_name(character), "position": position}
            return _("Remove %(character)s at position %(position)s.") % named
    return None


def character_name(character: str) -> str:
    """Return the name of a character for messages: U+200B ZERO WIDTH SPACE."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def likely_identifiers(key: str) -> list[str]:
    """Return identifiers that a text may mean: without invisible characters, or in another case; of long texts none."""
    if len(key) > MAX_CHECKED:
        return []
    plain = _cleaned_key(key)
    variants = [plain, plain.upper(), plain.lower(), plain.title(), plain.capitalize(), plain.swapcase()]
    variants_by_form = dict.fromkeys(map(normalized, dict.fromkeys(variants)))
    return [each for each in variants_by_form if each and each != key]


def _cleaned_key(key: str) -> str:
    """Return a key without its prefix, invisible characters, and characters that programs have added."""
    text = key.removeprefix("number:").removeprefix("code:")
    plain = normalized("".join(plain_equivalent(each) for each in text if not is_invisible(each) or each == " "))
    plain = plain.strip(f"#{_QUOTES}")
    if match := _WITH_A_DECIMAL.fullmatch(plain):
        plain = match[1]
    elif re.fullmatch(r"\d{1,3}([,']\d{3})+", plain):
        plain = plain.replace(",", "").replace("'", "")
    return plain


# Maps Cyrillic and Greek letters to the Latin letters that they look like.
_LATIN = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0405\u0406\u0408\u0430\u0435\u043e\u0440\u0441\u0445"
    "\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7\u0396\u03bf",
    "ABEKMHOPCTXSIJaeopcxABEHIKMNOPTXZo",
)
_PIECES = re.compile(r"\d+|[^\W\d_]+")
MAX_PIECES = 5
MAX_DIGITS = 12


def similar_identifiers(key: str) -> list[str]:
    """
    Return identifiers that an unknown key may mean: the likely identifiers, and rewritten ones.

    People use other separators (``MATH 101``), spreadsheets drop leading zeros, and letters of other alphabets look
    like Latin ones.
    """
    if len(key) > MAX_CHECKED:
        return []
    likely = likely_identifiers(key)
    plain = _cleaned_key(key).translate(_LATIN)
    if plain.isdecimal():
        digits = plain.lstrip("0")
        rewritten = [digits.zfill(width) for width in range(len(digits), MAX_DIGITS + 1)]
    else:
        pieces = _PIECES.findall(plain) if len(plain) <= 64 else []
        joined_pieces = [gap.join(pieces) for gap in ("-", "", " ", "_", ".")] if len(pieces) <= MAX_PIECES else []
        rewritten = [variant for each in (plain, *joined_pieces) for variant in (each, each.upper())]
    return [each for each in dict.fromkeys([*likely, *rewritten]) if each and each != key]


MAX_ID = 2**63 - 1


def parse_id(text: str) -> int:
    """Return the database id in a text, 0 if it is not an id."""
    is_id = re.fullmatch("[1-9][0-9]{0,18}", text) and int(text) <= MAX_ID
    return int(text) if is_id else 0


def parse_ids(text: str) -> list[int]:
    """Return a list with the database id in a text; an empty list if it is not an id."""
    number = parse_id(text)
    return [number] if number else []
