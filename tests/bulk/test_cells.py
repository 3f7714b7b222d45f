"""Cleaning and escaping of cells."""

import csv
import io
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk.files.cell_text import SIGNS, clean, escape_formulas, escape_original_cell
from school.text_normalization import INVISIBLE, normalized


def test_the_signs_are_all_characters_that_a_spreadsheet_may_read_as_the_sign_of_a_formula():
    characters = map(chr, range(sys.maxunicode + 1))

    assert sorted(SIGNS) == [each for each in characters if unicodedata.normalize("NFKC", each) in set("=+-@")]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "'=1"])
def test_spreadsheet_formulas_are_escaped(cell):
    assert escape_formulas(cell) == f"'{cell}"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "⁼"])
@pytest.mark.parametrize("before", ["a;", "a\t", "a,", "a\n", "a\r\n", "a; ", 'a;"', "a;\t", "O'Neil;"])
def test_formulas_after_another_separator_are_escaped(before, sign):
    cell = f"{before}{sign}cmd|' /C calc'!A0"

    assert escape_formulas(cell) == escape_original_cell(cell) == f"{before}'{sign}cmd|' /C calc'!A0"
    assert clean(escape_formulas(cell)) == cell.strip(INVISIBLE)


@pytest.mark.parametrize("cell", ["＝1", "＋1", "－1", "＠A", " =1", "\u3000＝1", '"=1', '" "＝1'])
def test_cells_starting_with_a_full_width_sign_or_a_space_are_escaped(cell):
    assert (escape_formulas(cell), escape_original_cell(cell)) == (f"'{cell}", f"'{cell}")


@pytest.mark.parametrize(("cell", "guarded"), [("\t=1", "'\t'=1"), ("\r=1", "'\r'=1"), (";=1", ";'=1")])
def test_a_formula_after_an_empty_cell_is_escaped(cell, guarded):
    assert (escape_formulas(cell), escape_original_cell(cell)) == (guarded, guarded)


def formulas_in(line):
    """Return the cells of a line that a spreadsheet evaluates, with any separator."""
    pieces = [piece for separators in (",", ";", "\t", ",;\t") for piece in re.split(f"[{separators}\r\n]", line)]
    return [piece for piece in pieces if unicodedata.normalize("NFKC", piece.strip(' "'))[:1] in set("=+-@")]


CELLS = st.text(st.sampled_from("=+-@＝＠;,'\"\t\r\n 0a\u3000\u200b")) | st.text()


@given(st.lists(CELLS, min_size=1), st.sampled_from(",;\t"))
def test_no_cell_of_a_file_is_a_formula_with_any_separator(cells, delimiter):
    cells = [normalized(cell) for cell in cells]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerow([*map(escape_formulas, cells), "end"])

    [row] = csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=delimiter, strict=True)
    assert formulas_in(file.getvalue()) == []
    assert [clean(cell) for cell in row] == [*cells, "end"]


@pytest.mark.parametrize("cell", ["S-1042", "O'Brien", "'quoted'", "", "1=1", "007"])
def test_harmless_cells_are_not_changed(cell):
    assert escape_formulas(cell) == cell


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("  S-1 ", "S-1"),
        ("\u00a0S-1\u200b", "S-1"),
        ("\ufeffS-1", "S-1"),
        ("\u202aS-1\u202c", "S-1"),
        ("S 1", "S 1"),
        ("'=1", "=1"),
        ("''=1", "'=1"),
        ("'S-1", "'S-1"),
        ("'00123", "00123"),
        ("''0", "'0"),
        ('="00123"', "00123"),
        ('="a ""b"" "', 'a "b"'),
        ('=""', ""),
        ('="a"&"b"', '="a"&"b"'),
        ('\'="00123"', '="00123"'),
        ("\u200b", ""),
    ],
)
def test_invisible_characters_around_cells_are_removed(cell, meant):
    assert clean(cell) == meant


@given(CELLS)
def test_a_written_cell_is_read_back_unchanged(text):
    assert clean(escape_formulas(normalized(text))) == normalized(text)


@given(st.text(st.sampled_from("=+-@'\"\t\r\n 0a\u200b")) | st.text())
def test_a_cell_returned_unchanged_has_the_same_value_and_is_no_formula(cell):
    out = escape_original_cell(cell)

    assert clean(out) == clean(cell)
    assert out[:1] not in set("=+-@\t\r") or (out == cell and out.startswith('="') and out.endswith('"'))


@pytest.mark.parametrize("cell", ['="00123"', "'00123", "'=1", " S-1 ", "\u200bS-1", "S-1", ""])
def test_a_cell_that_is_no_formula_is_returned_exactly_as_received(cell):
    assert escape_original_cell(cell) == cell
