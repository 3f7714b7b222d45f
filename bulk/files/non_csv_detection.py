"""
Recognizes files that are not CSV by their first bytes, and returns a message that says how to convert them to CSV.
"""

import re
from collections.abc import Sequence

from school.i18n.stored_messages import translatable as _

HEAD_BYTES = 1 << 16
_ZIP_HEADER_BYTES = 30
_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")

# The names of files that are in office documents.
_OFFICE = (b"word/document.xml", b"Index/Document.iwa", b"[Content_Types].xml", b"xl/")


def binary_format_error(head: bytes) -> str | None:
    """Return the error message for a binary file with these first bytes, None if the file may be text."""
    if head.startswith(b"PK\x03\x04") and len(head) >= _ZIP_HEADER_BYTES:
        if b"mimetypeapplication/vnd.oasis.opendocument" in head[:200]:
            return _("The file is an OpenDocument file (.ods). Save it as CSV in UTF-8.")
        names = [name.decode() for name in _OFFICE if name in head]
        if message := office_document_error(names):
            return message
        return _("The file is a zip. Send it as a zip, or unpack it and send the CSV file.")
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _("The file is an Excel workbook (.xls). Save it as CSV UTF-8.")
    if head.startswith(b"%PDF-"):
        return _("The file is a PDF. Export the table as CSV in UTF-8.")
    if head.startswith(b"\x1f\x8b"):
        return _("The file is a gzip file. Unpack it and send the CSV file.")
    if head.startswith(_ARCHIVES) or re.match(rb"BZh[1-9]1AY", head):
        return _("The file is an archive. Unpack it and send the CSV file.")
    if head.startswith(_PICTURES):
        return _("The file is a picture. Send the table as CSV in UTF-8.")
    return None


def is_utf_16(head: bytes) -> bool:
    """True if the bytes begin with the byte order mark of UTF-16 or UTF-32."""
    return head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"))


def text_format_error(head: bytes) -> str | None:
    """Return the error message for a text that is not a table, by its first bytes; None if it may be CSV."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    if text.startswith(r"{\rtf"):
        return _("The file is a text document (RTF). Save the table as CSV in UTF-8.")
    if re.match(r"<!doctype html|<html|<head|<body|<table|<\?xml[^>]*>\s*<!doctype html", text):
        return _("The file is a web page (HTML), for example a login page. Download the file again.")
    if text.startswith("<"):
        return _("The file is XML. Save the table as CSV in UTF-8.")
    if re.match(r'\{\s*["}]|\[\s*[\[{\]"]', text):
        return _("The file is JSON. Send the rows as CSV in UTF-8.")
    return None


def office_document_error(names: Sequence[str]) -> str | None:
    """Return the error message for a zip that is an office document, by the names of the files in it; else None."""
    if "word/document.xml" in names:
        return _("The file is a Word document (.docx). Save the table as CSV in UTF-8.")
    if "Index/Document.iwa" in names:
        return _("The file is a Numbers document. Export it as CSV in UTF-8.")
    if any(name.startswith(("[Content_Types].xml", "xl/")) for name in names):
        return _("The file is an Excel workbook (.xlsx). Save it as CSV UTF-8.")
    if "content.xml" in names and "mimetype" in names:
        return _("The file is an OpenDocument file (.ods). Save it as CSV in UTF-8.")
    return None
