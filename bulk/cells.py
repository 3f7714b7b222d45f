"""
Single cells: trimmed of what cannot be seen, and safe to open in a spreadsheet.

A spreadsheet runs a cell that begins with =, +, -, @, a tab or a carriage return as a formula (OWASP, "CSV Injection").
On the way out such a cell gets an apostrophe in front, on the way in one apostrophe is taken off again, so that what
was written is read back.
"""

import re

from school.validators import INVISIBLE

_RISKY = re.compile(r"'*[=+\-@\t\r]")
_RUNS = re.compile(r"[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def clean(cell: str) -> str:
    """Return what a person meant by a cell."""
    if cell[:1].isalnum() and cell[-1:].isalnum():  # as most are: nothing to trim, and no apostrophe before it
        return cell
    cell = cell.strip(INVISIBLE)
    return cell[1:] if _GUARDED.match(cell) else cell


def guard(cell: object) -> str:
    """Return a cell that no spreadsheet runs as a formula. ``clean`` reads it back."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if _RISKY.match(text) else text


def guard_as_it_came(cell: str) -> str:
    """Guard a cell of an input that goes out again. One that is guarded already stays so, and reads as it did."""
    return f"'{cell}" if _RUNS.match(cell) else cell
