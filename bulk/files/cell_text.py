"""
Cleans the cells of files that are read, and escapes formulas in the cells of files that are written.

A spreadsheet runs a cell that begins with =, +, -, @, a tab or a carriage return as a formula (OWASP, "CSV Injection");
in East Asian languages also the full-width forms of these characters. A spreadsheet may also split a file at another
separator than the one with which the file was written. So a cell may begin after each comma, semicolon, tab or line
break. In a file that is written, an apostrophe is added before each such formula. In a file that is read, one
apostrophe is removed before each, so that an escaped cell is read back unchanged. People write an apostrophe or
``="..."`` around a number to keep its leading zeros: both are removed from a file that is read.
"""

import re

from school.text_normalization import normalized

# The characters whose form NFKC is one of =, +, - and @. A test finds them among all characters.
SIGNS = "=+-@⁺⁼₊₌﬩﹢﹣﹦﹫＋－＝＠"
_SIGNS = re.escape(SIGNS)
_SPACES = r"(?:[^\S\t\r\n]|\")*"  # spaces and quotation marks; a spreadsheet may read the marks as those around a cell
_FORMULA = re.compile(rf"[\t\r]|{_SPACES}[{_SIGNS}]")
_ESCAPED = re.compile(rf"'+(?:[\t\r\d]|{_SPACES}[{_SIGNS}])")
_NEEDS_ESCAPE = re.compile(rf"'*(?:[\t\r]|{_SPACES}[{_SIGNS}])|'+\d")
_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
# A formula after a character that may separate cells, with or without quotes.
_INNER_FORMULA = re.compile(rf"([,;\t\r\n]{_SPACES})(?='*[{_SIGNS}])")
_ESCAPED_INNER_FORMULA = re.compile(rf"([,;\t\r\n]{_SPACES})'(?='*[{_SIGNS}])")


def clean(cell: str) -> str:
    """Return the value of a cell that is read: trimmed and normalized, without an escape or ``="..."``."""
    # Fast path for most cells: nothing to trim, to normalize or to unescape.
    if cell.isascii() and cell[:1].isalnum() and cell[-1:].isalnum() and "'" not in cell:
        return cell
    cell = normalized(cell)
    if _ESCAPED.match(cell):
        return normalized(_ESCAPED_INNER_FORMULA.sub(r"\1", cell[1:]))
    if formula := _TEXT_FORMULA.fullmatch(cell):
        cell = formula[1].replace('""', '"')
    return normalized(_ESCAPED_INNER_FORMULA.sub(r"\1", cell))


def escape_formulas(cell: object) -> str:
    """
    Return a cell with its formulas escaped, for a file to write, so that no spreadsheet runs them.

    ``clean`` returns the original value.
    """
    text = _INNER_FORMULA.sub(r"\1'", "" if cell is None else str(cell))
    return f"'{text}" if _NEEDS_ESCAPE.match(text) else text


def escape_original_cell(cell: str) -> str:
    """
    Escape a cell of a file that is written to another file: ``clean`` reads the result as it reads the cell.

    A cell that no spreadsheet runs is returned unchanged; so is ``="text"``, a formula without effect.
    """
    if not _INNER_FORMULA.search(cell) and (not _FORMULA.match(cell) or _TEXT_FORMULA.fullmatch(cell)):
        return cell
    text = _INNER_FORMULA.sub(r"\1'", cell)
    escaped = f"'{text}" if _FORMULA.match(text) else text
    return escaped if clean(escaped) == clean(cell) else escape_formulas(clean(cell))
