"""Parsing of pasted text."""

import pytest

from students.admin.bulk_enroll.parsing import PastedLine, correct, format_keys, parse_keys

KNOWN = {"S-1", "S-2", "007", "ada@x.example", "MATH-101", "ART"}


def known(keys):
    return KNOWN & set(keys)


def keys(text, **how):
    return [line.keys for line in parse_keys(text, known, **how)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\n ,; ", []),
        ("S-1", [("S-1",)]),
        ("S-1\nS-2\r\nS-9", [("S-1",), ("S-2",), ("S-9",)]),
        ("S-1, S-2;007", [("S-1", "S-2", "007")]),
        ("S-1\tS-2\tS-9", [("S-1", "S-2", "S-9")]),
        ("S-1\tAda Byron\nS-9\tMary\tSomerville", [("S-1",), ("S-9",)]),
        ("S-1\tByron, Ada", [("S-1",)]),
        ("S-1\tAda Byron\tada@x.example\t3", [("S-1", "ada@x.example")]),
        ("S-1 Ada Byron\nAda Byron S-9", [("S-1",), ("S-9",)]),
        ("Ada Byron <ada@x.example>\nMary <mary@x.example>", [("ada@x.example",), ("mary@x.example",)]),
        ("ada@x.example; mary@x.example", [("ada@x.example", "mary@x.example")]),
        ("Ada Byron\nByron, Ada\nByron\tAda", [("Ada Byron",), ("Byron, Ada",), ("Byron, Ada",)]),
        ("\tS-9", [("S-9",)]),
        ("\ufeffS-1\u00a0\n\u200bS-2", [("S-1",), ("S-2",)]),
        ("S-1\nS-1", [("S-1",), ("S-1",)]),
        ("S-1, S-1", [("S-1",)]),
    ],
)
def test_the_keys_of_a_line_are_found_among_other_text(text, expected):
    assert keys(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MATH-101, ART, CHEM", [("MATH-101", "ART", "CHEM")]),
        ("MATH-101\tCalculus", [("MATH-101",)]),
        ("MATH-101 Calculus I", [("MATH-101",)]),
        ("CHEM\tBasics", [("CHEM",)]),
        ("Music", [("Music",)]),
    ],
)
def test_the_keys_of_courses_may_have_no_digit(text, expected):
    assert keys(text, are_names=False) == expected


def test_lines_keep_their_numbers_and_lists_are_marked():
    lines = parse_keys("\nS-1\n\nS-2, 007", known)

    assert lines == [PastedLine(2, ("S-1",)), PastedLine(4, ("S-2", "007"), is_list=True)]


def test_formatted_lines_are_parsed_to_the_same_keys():
    lines = parse_keys("S-1\tAda Byron\nS-2, 007\nByron, Ada", known)

    assert parse_keys(format_keys(lines), known) == lines


@pytest.mark.parametrize(
    ("text", "corrections", "expected"),
    [
        ("S-9\tGrace\nS-1\tAda", {"S-9": "S-2"}, "S-2\tGrace\nS-1\tAda"),
        ("S-9\tGrace\nS-1", {"S-9": ""}, "\nS-1"),
        ("S-1, S-9, S-2", {"S-9": ""}, "S-1, , S-2"),
        ("Byron\tAda", {"Byron, Ada": "S-1"}, "S-1"),
        ("S-1", {"S-7": "S-2"}, "S-1"),
    ],
)
def test_a_correction_changes_only_the_key_in_the_text(text, corrections, expected):
    assert correct(text, parse_keys(text, known), corrections) == expected


def test_keys_are_looked_up_at_most_twice():
    asked = []

    def find(keys):
        asked.append(sorted(keys))
        return known(keys)

    parse_keys("S-1\tAda\nGrace S-2", find)
    parse_keys("S-1\nS-2", find)

    assert asked == [["Ada", "Grace S-2", "S-1"], ["Grace", "S-2"], ["S-1", "S-2"]]
