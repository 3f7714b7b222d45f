"""Parsing of pasted text."""

import pytest

from students.admin.bulk_enroll.parsing import PastedKey, format_keys, parse_keys

KNOWN = {"S-1", "S-2", "007"}


def keys(text):
    return [(row.key, row.trailing_text) for row in parse_keys(text, lambda keys: KNOWN & set(keys))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\n ,; ", []),
        ("S-1", [("S-1", "")]),
        ("S-1\nS-2\r\nS-9", [("S-1", ""), ("S-2", ""), ("S-9", "")]),
        ("S-1, S-2;007", [("S-1", ""), ("S-2", ""), ("007", "")]),
        ("S-1\tAda Byron\nS-9\tMary\tSomerville", [("S-1", "Ada Byron"), ("S-9", "Mary Somerville")]),
        ("S-1\tByron, Ada", [("S-1", "Byron Ada")]),
        ("S-1\tS-2\tS-9", [("S-1", ""), ("S-2", ""), ("S-9", "")]),
        ("\tS-9", [("S-9", "")]),
        ("\ufeffS-1\u00a0\n\u200bS-2", [("S-1", ""), ("S-2", "")]),
        ("S-1\nS-1", [("S-1", ""), ("S-1", "")]),
    ],
)
def test_keys_are_read_in_order_with_their_trailing_text(text, expected):
    assert keys(text) == expected


def test_formatted_rows_are_parsed_to_the_same_rows():
    rows = [PastedKey("S-1", "Ada Byron"), PastedKey("S-9"), PastedKey("007", "x")]

    assert parse_keys(format_keys(rows), lambda keys: KNOWN & set(keys)) == rows


def test_known_keys_are_looked_up_once_and_only_for_lines_with_several_keys():
    asked = []

    def known(keys):
        asked.append(sorted(keys))
        return keys

    parse_keys("S-1\tAda\nS-2\tS-1", known)
    parse_keys("S-1\nS-2", known)

    assert asked == [["Ada", "S-1"]]
