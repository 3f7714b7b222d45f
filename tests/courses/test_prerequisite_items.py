"""The items of prerequisites as text: what files and forms contain."""

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from courses.prerequisite_items import (
    Item,
    all_codes,
    describe,
    distinct_items,
    format_items,
    is_met,
    parse_items,
    rename_code,
    split_codes,
)
from school.text_normalization import normalized

STAT = {"course": "STAT-2", "grade": "C"}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        (" , ,", []),
        ("MATH-1", ["MATH-1"]),
        ("MATH-1, CS-1,CS-2", ["MATH-1", "CS-1", "CS-2"]),
        ("MATH-1\nCS-1\r\nCS-2", ["MATH-1", "CS-1", "CS-2"]),
        ("MATH-1, MATH-1", ["MATH-1"]),
        ("MATH 101, CS 1", ["MATH 101", "CS 1"]),
        ('"A,B", C', ["A,B", "C"]),
        ('"A ""B"""', ['A "B"']),
        ('A"B', ['A"B']),
        ("MATH-1 CS-1|CS-2 STAT-2>=C", ["MATH-1", ["CS-1", "CS-2"], STAT]),
        ("MATH-1, CS-1|CS-2, STAT-2>=C", ["MATH-1", ["CS-1", "CS-2"], STAT]),
        ("CS-1 | CS-2  STAT-2 >= C", [["CS-1", "CS-2"], STAT]),
        ("MATH 101, CS-1|CS-2", ["MATH 101", ["CS-1", "CS-2"]]),
        ("CS-1|CS-1", ["CS-1"]),
        ("A|B|C", [["A", "B", "C"]]),
        ('"CS 1"|"CS 2" "STAT 2">="1,3"', [["CS 1", "CS 2"], {"course": "STAT 2", "grade": "1,3"}]),
        ('"A|B"', ["A|B"]),
        ('"A>=B"', ["A>=B"]),
    ],
)
def test_a_text_is_read_as_items(text, items):
    assert parse_items(text) == items


@pytest.mark.parametrize(
    "text", ["|", "A|", "|A", "A||B", "A>=", ">=C", "A>=B>=C", "A|B>=C", "A>=B|C", '""|A', '"A"B|C']
)
def test_a_text_that_is_no_item_is_refused_and_quoted(text):
    with pytest.raises(ValidationError) as error:
        parse_items(f"X, {text}")

    [message] = error.value.messages
    assert message.endswith(" is not a prerequisite. Write a code, several as in CS-1|CS-2, or STAT-2>=C.")
    assert [each.code for each in error.value.error_list] == ["invalid_prerequisite"]


CODE = st.text(st.sampled_from('AB1 ,"|>=-+'), min_size=1, max_size=6).map(normalized).filter(bool)
ITEM = st.one_of(
    CODE,
    st.lists(CODE, min_size=2, max_size=3, unique=True),
    st.fixed_dictionaries({"course": CODE, "grade": CODE}),
)


@given(st.lists(ITEM, max_size=4))
def test_the_text_of_items_is_read_as_the_same_items(items):
    assert parse_items(format_items(items)) == distinct_items(items)


def test_codes_separated_by_blanks_are_split_only_if_courses_have_them():
    known = {"MATH 101", "CS-1", "CS-2"}
    asked = []

    def known_codes(codes):
        asked.append(set(codes))
        return known.intersection(codes)

    assert split_codes(["CS-1", ["A B", "C"]], known_codes) == ["CS-1", ["A B", "C"]]
    assert asked == []
    assert split_codes(["MATH 101", "CS-1 CS-2", "CS-1 NONE"], known_codes) == ["MATH 101", "CS-1", "CS-2", "CS-1 NONE"]
    assert asked == [{"MATH 101", "MATH", "101", "CS-1 CS-2", "CS-1", "CS-2", "CS-1 NONE", "NONE"}]


def test_a_code_is_renamed_in_every_shape():
    items: list[Item] = ["A", ["A", "B"], ["B", "A", "C"], {"course": "A", "grade": "A"}, {"course": "C", "grade": "A"}]

    assert rename_code(items, "A", "B") == [
        "B",
        ["B", "C"],
        {"course": "B", "grade": "A"},
        {"course": "C", "grade": "A"},
    ]
    assert all_codes(items) == ["A", "B", "C"]


def test_an_item_is_met_by_one_alternative_and_by_the_minimum_grade():
    passed = {("CS-2", ""), ("STAT-2", "C"), ("STAT-2", "")}

    def has_passed(code, minimum):
        return (code, minimum) in passed

    assert [is_met(item, has_passed) for item in ("CS-2", "CS-1", ["CS-1", "CS-2"], ["A", "B"], STAT)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert is_met({"course": "CS-2", "grade": "C"}, has_passed) is False


def test_items_are_described_in_words():
    assert [describe(each) for each in ("MATH-1", ["A", "B", "C"], STAT)] == [
        "MATH-1",
        "A, B or C",
        "STAT-2 with the grade C or better",
    ]
