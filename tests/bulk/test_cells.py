"""Cells on their way in and out."""

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk.files.csv_cells import clean, escape_formulas, escape_original_cell
from school.validators import INVISIBLE, normalized


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "'=1"])
def test_what_a_spreadsheet_would_run_is_guarded(cell):
    assert escape_formulas(cell) == f"'{cell}"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "⁼"])
@pytest.mark.parametrize("before", ["a;", "a\t", "a,", "a\n", "a\r\n", "a; ", 'a;"', "a;\t", "O'Neil;"])
def test_what_a_spreadsheet_would_run_behind_another_separator_is_guarded(before, sign):
    cell = f"{before}{sign}cmd|' /C calc'!A0"

    assert escape_formulas(cell) == escape_original_cell(cell) == f"{before}'{sign}cmd|' /C calc'!A0"
    assert clean(escape_formulas(cell)) == cell.strip(INVISIBLE)


@pytest.mark.parametrize("cell", ["＝1", "＋1", "－1", "＠A", " =1", "\u3000＝1"])
def test_what_begins_with_a_full_width_sign_or_a_blank_is_guarded(cell):
    assert (escape_formulas(cell), escape_original_cell(cell)) == (f"'{cell}", f"'{cell}")


@pytest.mark.parametrize(("cell", "guarded"), [("\t=1", "'\t'=1"), ("\r=1", "'\r'=1"), (";=1", ";'=1")])
def test_a_formula_behind_an_empty_cell_is_guarded(cell, guarded):
    assert (escape_formulas(cell), escape_original_cell(cell)) == (guarded, guarded)


def formulas_in(line):
    """The cells of a line that a spreadsheet runs, at whatever separators it splits the line."""
    pieces = [piece for separators in (",", ";", "\t", ",;\t") for piece in re.split(f"[{separators}\r\n]", line)]
    return [piece for piece in pieces if unicodedata.normalize("NFKC", piece.strip(' "'))[:1] in set("=+-@")]


CELLS = st.text(st.sampled_from("=+-@＝＠;,'\"\t\r\n 0a\u3000\u200b")) | st.text()


@given(st.lists(CELLS, min_size=1), st.sampled_from(",;\t"))
def test_no_cell_of_a_file_is_run_whatever_separates_its_cells(cells, delimiter):
    cells = [normalized(cell) for cell in cells]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerow([*map(escape_formulas, cells), "end"])

    [row] = csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=delimiter, strict=True)
    assert formulas_in(file.getvalue()) == []
    assert [clean(cell) for cell in row] == [*cells, "end"]


@pytest.mark.parametrize("cell", ["S-1042", "O'Brien", "'quoted'", "", "1=1", "007"])
def test_what_is_harmless_stays_as_it_is(cell):
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
def test_cells_are_trimmed_of_what_cannot_be_seen(cell, meant):
    assert clean(cell) == meant


@given(CELLS)
def test_what_is_written_is_read_back(text):
    assert clean(escape_formulas(normalized(text))) == normalized(text)


@given(st.text(st.sampled_from("=+-@'\"\t\r\n 0a\u200b")) | st.text())
def test_a_cell_that_goes_out_as_it_came_is_read_as_before_and_runs_nothing(cell):
    out = escape_original_cell(cell)

    assert clean(out) == clean(cell)
    assert out[:1] not in set("=+-@\t\r") or (out == cell and out.startswith('="') and out.endswith('"'))


@pytest.mark.parametrize("cell", ['="00123"', "'00123", "'=1", " S-1 ", "\u200bS-1", "S-1", ""])
def test_a_cell_that_no_spreadsheet_runs_goes_out_exactly_as_it_came(cell):
    assert escape_original_cell(cell) == cell
