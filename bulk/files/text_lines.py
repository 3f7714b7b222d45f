"""
Splits a CSV file into lines of text for ``csv.reader``.

A file is read and decoded block by block. Lines end with LF, CR LF or a single CR, also mixed in one file; other
characters that Unicode calls line breaks do not end a line. Blanks around a quoted cell are removed here, because the
strict ``csv.reader`` recognizes quotes only directly next to a separator.
"""

import io
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from school.i18n.stored_messages import translatable as _
from school.text_normalization import INVISIBLE

BLOCK_BYTES = 1 << 16
MAX_ROW_BYTES = 1_000_000
BYTE_ORDER_MARK = "\ufeff"
END_OF_FILE = b"\x1a"  # the character Ctrl-Z, which DOS writes at the end of a text

# The error handler ``surrogateescape`` decodes invalid bytes to these characters.
_NOT_UTF_8 = re.compile(r"[\udc80-\udcff]")
# The lookbehind makes the search for an LF after several CR start once for all of them, and not at each CR.
_LINE = re.compile(r"[^\r\n]*(?:\n|(?<!\r)\r++\n|\r|\Z)")
_SPACED_QUOTE = {
    separator: re.compile(rf'"(?:(?<=[{blanks}]")|(?=[{blanks}]))')
    for separator in ",;\t"
    for blanks in [re.escape("".join(c for c in INVISIBLE if c not in f"\r\n{separator}"))]
}
_QUOTED_CELL = {
    separator: re.compile(
        # Matches a quoted cell, which ends before a separator or is open at the end of the line; or an unquoted cell;
        # or a separator.
        rf'[{blanks}]*("[^"]*+(?:""[^"]*+)*+(?:"(?=[{blanks}]*(?:[{separator}\r\n]|\Z))|\Z))[{blanks}]*'
        rf"|[^{separator}]+|[{separator}]"
    )
    for separator in ",;\t"
    for blanks in [re.escape("".join(c for c in INVISIBLE if c not in f"\r\n{separator}"))]
}


class InvalidLine(Exception):
    """A line cannot be read as text."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class TextLines:
    """
    The lines of a file, for one iteration.

    The caller sets ``row`` to another value after each row that it has read, so that the next line begins a row. The
    size of a row is limited, even if the row takes many lines. Raise ``InvalidLine`` for bytes that are not UTF-8 text
    and for a row that is too long.

    With ``on_line``, no error is raised: ``on_line`` is called with each line as it is in the file, before the line is
    yielded, and bytes that are not UTF-8 become surrogates.
    """

    def __init__(self, source: BinaryIO, separator: str, on_line: Callable[[str], None] | None = None) -> None:
        self.source = source
        self.separator = separator
        self.on_line = on_line
        self.row = -1

    def __iter__(self) -> Iterator[str]:
        begins_row = True
        is_first = True
        for content in self._complete_lines():
            text, is_invalid = self._decode(content)
            lines = _split_lines(text)
            if self.on_line or is_first or is_invalid or _SPACED_QUOTE[self.separator].search(text):
                for line in lines:
                    if self.on_line:
                        self.on_line(line)
                    elif is_invalid:
                        _check_text(line)
                    row = self.row
                    yield self._trim_quoted_cells(
                        line.lstrip(BYTE_ORDER_MARK) if is_first else line, begins_row=begins_row
                    )
                    is_first = False
                    begins_row = self.row != row
            else:
                last = lines.pop()
                yield from lines
                row = self.row
                yield last
                begins_row = self.row != row

    def _complete_lines(self) -> Iterator[bytes]:
        """Yield the file in pieces of whole lines."""
        self.source.seek(0)
        remainder = b""
        row_size, row = 0, self.row
        while block := self.source.read(BLOCK_BYTES):
            split_at = block.rfind(b"\n") + 1 or block.rfind(b"\r", 0, -1) + 1
            first_row_size = len(remainder) + (block.find(b"\n") + 1 or split_at or len(block))
            row_size = row_size + len(block) if self.row == row else 0
            row = self.row
            if max(first_row_size, row_size) > MAX_ROW_BYTES:
                if self.on_line is None:
                    message = _("This row is longer than %(most)s bytes. Check for a missing closing quote.")
                    raise InvalidLine("row_too_long", message % {"most": MAX_ROW_BYTES})
                split_at, row_size = len(block), 0
            if split_at:
                yield remainder + block[:split_at]
                remainder = block[split_at:]
            else:
                remainder += block
        if not self.on_line:
            remainder = remainder.rstrip(END_OF_FILE)
        if remainder:
            yield remainder

    def _decode(self, content: bytes) -> tuple[str, bool]:
        """Return the lines as text, and True if one of them is invalid and must be refused."""
        try:
            return content.decode(), b"\0" in content
        except UnicodeDecodeError:
            return content.decode("utf-8", "surrogateescape"), True

    def _trim_quoted_cells(self, line: str, *, begins_row: bool) -> str:
        """Return a line without the blanks around its quoted cells."""
        if not _SPACED_QUOTE[self.separator].search(line):
            return line
        # A line that does not begin a row continues a quoted cell.
        prefixed = line if begins_row else f'"{line}'
        trimmed = _QUOTED_CELL[self.separator].sub(lambda cell: cell[1] or cell[0], prefixed)
        return trimmed if begins_row else trimmed[1:]


def _split_lines(text: str) -> list[str]:
    if text.count("\r") == text.count("\r\n"):
        return io.StringIO(text, newline="\n").readlines()
    lines = _LINE.findall(text)
    return lines[:-1] if lines[-1] == "" else lines


def _check_text(line: str) -> None:
    if "\0" in line:
        raise InvalidLine("not_text", _("The file is not a text file. Save it as CSV in UTF-8."))
    if invalid := _NOT_UTF_8.search(line):
        message = _("The byte 0x%(byte)02x is not UTF-8. Save the file as CSV in UTF-8.")
        raise InvalidLine("not_utf8", message % {"byte": ord(invalid[0]) - 0xDC00})
