"""Cells on their way in and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk.cells import clean, guard
from school.validators import INVISIBLE


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1"])
def test_what_a_spreadsheet_would_run_is_guarded(cell):
    assert guard(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["S-1042", "O'Brien", "'quoted'", "", "1=1", "007"])
def test_what_is_harmless_stays_as_it_is(cell):
    assert guard(cell) == cell


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
        ("\u200b", ""),
    ],
)
def test_cells_are_trimmed_of_what_cannot_be_seen(cell, meant):
    assert clean(cell) == meant


@given(st.text())
def test_what_is_written_is_read_back(text):
    assert clean(guard(text.strip(INVISIBLE))) == text.strip(INVISIBLE)
