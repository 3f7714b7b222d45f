"""Reading files as people make them, and saying what is wrong with the rest."""

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk.reading import MAX_ROW_BYTES, Column, Table, UnreadableFile, open_source

COLUMNS = (
    Column("student_number", required=True, aliases=("user_id",)),
    Column("course_code", required=True),
    Column("term"),
)


def read(data):
    table = Table(io.BytesIO(data), COLUMNS)
    return [(row.number, row.cells, [error.code for error in row.errors]) for row in table]


ROW = {"student_number": "S-1", "course_code": "M-1"}


@pytest.mark.parametrize(
    "data",
    [
        b"student_number,course_code\nS-1,M-1\n",
        b"student_number,course_code\r\nS-1,M-1\r\n",
        b"student_number,course_code\nS-1,M-1",
        b"\xef\xbb\xbfstudent_number,course_code\nS-1,M-1\n",
        b"student_number;course_code\nS-1;M-1\n",
        b"student_number\tcourse_code\nS-1\tM-1\n",
        b" Student_Number , COURSE_CODE \n S-1 , M-1 \n",
        b'"student_number","course_code"\n"S-1","M-1"\n',
        b"course_code,student_number\nM-1,S-1\n",
        b"User_ID,course_code\nS-1,M-1\n",
        "student_number,course_code\n\u200bS-1\u00a0,M-1\n".encode(),
    ],
)
def test_one_row_written_in_many_ways(data):
    assert read(data) == [(2, ROW, [])]


def test_ids_are_text():
    assert read(b"student_number,course_code\n007,1e5\n")[0][1] == {"student_number": "007", "course_code": "1e5"}


def test_rows_are_numbered_as_a_spreadsheet_does():
    data = b'student_number,course_code\nS-1,M-1\n\n"S\n2",M-2\nS-3,M-3\n'

    assert [number for number, _cells, _errors in read(data)] == [2, 4, 5]


def test_a_ragged_row_is_an_error_of_its_own_and_the_rest_is_read():
    data = b"student_number,course_code\nS-1\nS-2,M-2,x\nS-3,M-3\n"

    assert [(number, errors) for number, _cells, errors in read(data)] == [
        (2, ["ragged_row"]),
        (3, ["ragged_row"]),
        (4, []),
    ]


def test_unknown_columns_are_left_aside_and_told():
    table = Table(io.BytesIO(b"student_number,shoe size,course_code\nS-1,42,M-1\n"), COLUMNS)

    assert (table.unknown_columns, [row.cells for row in table]) == (["shoe size"], [ROW])


@pytest.mark.parametrize(
    ("data", "code", "row"),
    [
        (b"", "empty_file", None),
        (b"\n", "missing_column", 1),
        (b"a,b\n1,2\n", "missing_column", 1),
        (b"student_number,course_code,user_id\n", "duplicate_column", 1),
        (b"\x7fELF\x00\x01", "not_text", 1),
        ("student_number,course_code\n".encode("utf-16"), "not_text", 1),
        (b"PK\x03\x04\xff\xfe", "not_utf8", 1),
        (b"student_number,course_code\nS-1,M-1\nS-\xe9,M-1\n", "not_utf8", 3),
        (b"student_number,course_code\nS-1,M-1\nS-2,M\x00\n", "not_text", 3),
        (b"student_number,course_code\n" + b"x" * 10_000_000, "row_too_long", 2),
        (b'student_number,course_code\nS-1,"' + b"x\n" * 5_000_000, "malformed_csv", 2),
        (b"student_number,course_code\nS-1," + b"x" * 200_000 + b"\n", "malformed_csv", 2),
        (b'student_number,course_code\nS-1,"M-1\n', "malformed_csv", 2),
        (b'student_number,course_code\nS-1,"M"1\n', "malformed_csv", 2),
        (b"student_number,course_code\rS-1,M-1\r", "malformed_csv", 1),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_where(data, code, row):
    with pytest.raises(UnreadableFile) as error:
        Table(io.BytesIO(data), COLUMNS).count()

    assert (error.value.code, error.value.row) == (code, row)


def test_a_missing_file_is_told_by_name(tmp_path):
    why = r"Cannot read .*missing\.csv: No such file or directory\."

    with pytest.raises(UnreadableFile, match=why), open_source(str(tmp_path / "missing.csv")):
        pass


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UnreadableFile, match="Is a directory"), open_source(str(tmp_path)):
        pass


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tail):
    try:
        rows = read(b"student_number,course_code\n" + tail)
    except UnreadableFile as error:
        rows = [(error.row or 0, {}, [error.code])]

    assert all(number >= 1 and (cells or errors) for number, cells, errors in rows)


def test_reading_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path):
    peaks = []
    for rows in (1_000, 100_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("student_number,course_code\n" + "S-1,M-1\n" * rows)
        tracemalloc.start()
        with open_source(str(path)) as source:
            assert Table(source, COLUMNS).count() == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert max(peaks) < 2 * MAX_ROW_BYTES
