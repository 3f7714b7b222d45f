"""Reading of CSV files in all common notations, and the errors of unreadable ones."""

import io
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk.files.csv_reader import Column, Table, UnreadableFile, open_source
from bulk.files.text_lines import MAX_ROW_BYTES, _split_lines

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
        b"student_number,course_code\rS-1,M-1\r",
        b"student_number,course_code\r\r\nS-1,M-1\r\r\n",
        b"student_number,course_code\r\nS-1,M-1\r",
        b"student_number,course_code\r\nS-1,M-1\r\n\x1a",
        b"student_number,course_code\nS-1,M-1\x1a",
        b"sep=,\nstudent_number,course_code\nS-1,M-1\n",
        b"\xef\xbb\xbfSEP=;\r\nstudent_number;course_code\r\nS-1;M-1\r\n",
        b'"sep=;"\nstudent_number;course_code\nS-1;M-1\n',
        b"sep=\t\nstudent_number\tcourse_code\nS-1\tM-1\n",
        b"sep=;;;\nstudent_number;course_code;;\nS-1;M-1;;\n",
        b"student_number,course_code,\nS-1,M-1\n",
        b"student_number,course_code\nS-1,M-1,,\n",
        b"Student Number,course-code\nS-1,M-1\n",
        b"STUDENT_NUMBER,courseCode\nS-1,M-1\n",
        b'"Student\nNumber",course_code\nS-1,M-1\n',
        b'student_number, "course_code"\n"S-1" , "M-1"\n',
        '\ufeff\ufeffstudent_number,course_code\n\ufeff"S-1",M-1\n'.encode(),
        b'student_number,course_code\n="S-1","=""M-1"""\n',
    ],
)
def test_one_row_is_read_from_many_notations(data):
    assert read(data) == [(2, ROW, [])]


@pytest.mark.parametrize(
    "blank",
    ["", ",", ",,,", " , ", '"",""', "\u00a0,\u200b", "\ufeff", '""'],
)
def test_blank_rows_are_skipped_everywhere_but_counted_in_row_numbers(blank):
    data = f"{blank}\nstudent_number,course_code\n{blank}\nS-1,M-1\n{blank}\n".encode()

    assert (read(data), Table(io.BytesIO(data), COLUMNS).count()) == ([(4, ROW, [])], 1)


def test_a_line_that_declares_the_separator_is_not_numbered():
    assert read(b"sep=;\nstudent_number;course_code\nS-1\n") == [(2, {}, ["ragged_row"])]


def test_missing_cells_at_the_end_are_empty_if_their_columns_are_optional():
    data = b"student_number,course_code,term\nS-1,M-1\nS-1\n"
    rows = list(Table(io.BytesIO(data), COLUMNS))

    assert rows[0].cells == {**ROW, "term": ""}
    assert [(error.code, error.field, error.message) for error in rows[1].errors] == [
        ("ragged_row", "course_code", "This row has 1 cells, but the header has 3. Missing: course_code.")
    ]


def test_a_cell_in_a_column_without_a_name_is_an_error():
    assert read(b"student_number,course_code,\nS-1,Jr.,M-1\n") == [(2, {}, ["ragged_row"])]


@pytest.mark.parametrize(
    "repeated",
    [
        "student_number,course_code",
        "\ufeffstudent_number,course_code",
        "Student Number,COURSE-CODE",
        "user_id,course_code,",
    ],
)
def test_a_repeated_header_is_skipped_with_a_warning(repeated):
    table = Table(io.BytesIO(f"student_number,course_code\nS-1,M-1\n{repeated}\nS-2,M-2\n".encode()), COLUMNS)

    assert [(row.number, row.cells["student_number"]) for row in table] == [(2, "S-1"), (4, "S-2")]
    assert (table.count(), [warning.code for warning in table.warnings]) == (2, ["repeated_header"])
    assert table.warnings[0].message == "Ignored rows that repeat the header: 3"


@pytest.mark.parametrize(
    "other", ["course_code,student_number", "nr,student_number,course_code", "student_number,term"]
)
def test_a_different_header_in_the_middle_makes_the_file_unreadable(other):
    with pytest.raises(UnreadableFile) as error:
        Table(io.BytesIO(f"student_number,course_code\nS-1,M-1\n{other}\nM-2,S-2\n".encode()), COLUMNS).count()

    assert (error.value.code, error.value.row) == ("second_header", 3)


@pytest.mark.parametrize("dashes", ["---,---", "--------------,-----------", "===,===", "-,-"])
def test_a_line_of_dashes_is_an_error(dashes):
    assert read(f"student_number,course_code\n{dashes}\nS-1,M-1\n".encode()) == [(2, {}, ["dashes"]), (3, ROW, [])]


def test_unicode_and_quoted_line_breaks_do_not_end_a_row():
    text = 'student_number,course_code,term\nS-1,"M\r\n1\r2\n3",a\u2028b\x0bc\x0cd\x85e\n'

    assert read(text.encode()) == [
        (2, {"student_number": "S-1", "course_code": "M\r\n1\r2\n3", "term": "a\u2028b\x0bc\x0cd\x85e"}, [])
    ]


def test_quotes_within_a_cell_are_text():
    text = 'student_number,course_code,term\nS-1,5" disk, "quoted" and more\nS-2,"a ""b"" , c" ,x\n'

    assert [list(cells.values()) for _number, cells, _errors in read(text.encode())] == [
        ["S-1", '5" disk', '"quoted" and more'],
        ["S-2", 'a "b" , c', "x"],
    ]


@pytest.mark.parametrize(
    ("rest", "codes"),
    [
        ('"two\nlines"\nS-2,M-1,,\n', [[], []]),
        ('"Main St 1,\nSpringfield, IL, 62701, USA"\nS-2,M-1,,\n', [[], []]),
        ('"two\nS-2,M-1,,\nS-3,M-1,,"\nS-4,M-1,,\n', [["ragged_row"], []]),
        ('"two\nS-2,M-1,,"\n', [["ragged_row"]]),
    ],
)
def test_a_late_closing_quote_never_loses_rows_without_an_error(rest, codes):
    rows = read(f"student_number,course_code,term,notes\nS-1,M-1,,{rest}".encode())

    assert [errors for _number, _cells, errors in rows] == codes


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("length", [10, 65_000, 200_000])
def test_rows_across_blocks_of_the_file_are_complete(line_end, length):
    rows = [f"S-{n},{'a ' * (n % 7)}M" for n in range(length // 10)]
    data = line_end.join(["student_number,course_code", *rows, '"S-x", "M"']).encode()

    found = [f"{cells['student_number']},{cells['course_code']}" for _number, cells, _errors in read(data)]

    assert found == [*rows, "S-x,M"]


def test_the_error_of_a_title_above_the_header_quotes_the_title():
    with pytest.raises(UnreadableFile) as error:
        Table(io.BytesIO(b"\nStudents of fall,x\nstudent_number,course_code\nS-1,M-1\n"), COLUMNS)

    said = (
        "Columns missing in the header: student_number, course_code."
        " This row was read as the header: Students of fall | x."
    )
    assert str(error.value) == f"Row 2: {said}"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"PK\x03\x04" + b"\x14\0" * 20 + b"[Content_Types].xml", "not_text", "an Excel workbook (.xlsx)"),
        (b"PK\x03\x04" + b"\x14\0" * 13 + b"mimetypeapplication/vnd.oasis.opendocument", "not_text", "(.ods)"),
        (b"PK\x03\x04" + b"\x14\0" * 13 + b"students.csv", "not_text", "a zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not_text", "an Excel workbook (.xls)"),
        (b"%PDF-1.7\n", "not_text", "a PDF"),
        (b"\x1f\x8b\x08", "not_text", "gzip"),
        (b"\x89PNG\r\n\x1a\n", "not_text", "a picture"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "not_text", "a picture"),
        (b"BZh91AY&SY", "not_text", "an archive"),
        (b"\xfd7zXZ\0", "not_text", "an archive"),
        (b"\x28\xb5\x2f\xfd", "not_text", "an archive"),
        (b"PK\x03\x04" + bytes(26) + b"word/document.xml [Content_Types].xml", "not_text", "Word document"),
        (b"PK\x03\x04" + bytes(26) + b"Index/Document.iwa", "not_text", "Numbers document"),
        (b"{\\rtf1\\ansi", "not_csv", "(RTF)"),
        (b"<!DOCTYPE html>\n<html><body>Log in", "not_csv", "a web page"),
        (b"\n<HTML>", "not_csv", "a web page"),
        (b'<?xml version="1.0"?><Workbook>', "not_csv", "XML"),
        (b'[{"student_number": "S-1"}]', "not_csv", "JSON"),
        (b'{\n  "rows": []}', "not_csv", "JSON"),
        ("student_number\tcourse_code\n".encode("utf-16"), "not_text", "UTF-16"),
        (b"student_number|course_code\nS-1|M-1\n", "missing_column", "student_number|course_code"),
        (b"sep=|\nstudent_number|course_code\n", "unknown_separator", "a comma, a semicolon or a tab"),
    ],
)
def test_the_type_of_a_file_that_is_no_csv_is_reported(content, code, said):
    with pytest.raises(UnreadableFile) as error:
        Table(io.BytesIO(content), COLUMNS).count()

    assert (error.value.code, said in str(error.value)) == (code, True), str(error.value)


def test_ids_are_text():
    assert read(b"student_number,course_code\n007,1e5\n")[0][1] == {"student_number": "007", "course_code": "1e5"}


def test_rows_are_numbered_as_in_a_spreadsheet():
    data = b'student_number,course_code\nS-1,M-1\n\n"S\n2",M-2\nS-3,M-3\n'

    assert [number for number, _cells, _errors in read(data)] == [2, 4, 5]


def test_a_row_with_a_wrong_number_of_cells_is_an_error_and_the_rest_is_read():
    data = b"student_number,course_code\nS-1\nS-2,M-2,x\nS-3,M-3\n"

    assert [(number, errors) for number, _cells, errors in read(data)] == [
        (2, ["ragged_row"]),
        (3, ["ragged_row"]),
        (4, []),
    ]


def test_unknown_columns_without_a_name_are_reported_by_position():
    assert Table(io.BytesIO(b"student_number,,course_code,x,\n"), COLUMNS).unknown_columns == ["column 2", "x"]


def test_unknown_columns_are_ignored_and_reported():
    table = Table(io.BytesIO(b"student_number,shoe size,course_code\nS-1,42,M-1\n"), COLUMNS)

    assert (table.unknown_columns, [row.cells for row in table]) == (["shoe size"], [ROW])


@pytest.mark.parametrize(
    ("data", "code", "row"),
    [
        (b"", "empty_file", None),
        (b"\n", "empty_file", None),
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
        (b'student_number,course_code\nS-1,"M-1" x\n', "malformed_csv", 2),
    ],
)
def test_an_unreadable_file_is_reported_with_reason_and_position(data, code, row):
    with pytest.raises(UnreadableFile) as error:
        Table(io.BytesIO(data), COLUMNS).count()

    assert (error.value.code, error.value.row) == (code, row)


def test_a_missing_file_is_reported_with_its_name(tmp_path):
    why = r"Cannot read .*missing\.csv: No such file or directory\."

    with pytest.raises(UnreadableFile, match=why), open_source(str(tmp_path / "missing.csv")):
        pass


def test_a_directory_is_refused_as_a_file(tmp_path):
    with pytest.raises(UnreadableFile, match="Is a directory"), open_source(str(tmp_path)):
        pass


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tail):
    try:
        rows = read(b"student_number,course_code\n" + tail)
    except UnreadableFile as error:
        rows = [(error.row or 0, {}, [error.code])]

    assert all(number >= 1 and (cells or errors) for number, cells, errors in rows)


def test_reading_a_long_file_uses_no_more_memory_than_a_short_one(tmp_path):
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


def test_a_long_run_of_cr_is_split_into_lines_in_linear_time():
    began = time.process_time()

    lines = _split_lines("a" + "\r" * 60_000 + "b")

    assert time.process_time() - began < 0.5  # several seconds, if each CR searched for the LF after it
    assert (len(lines), lines[0], lines[-1]) == (60_001, "a\r", "b")


def test_several_cr_before_an_lf_are_one_line_break():
    assert _split_lines("a\r\r\nb\r\rc\r\n\rd") == ["a\r\r\n", "b\r", "\r", "c\r\n", "\r", "d"]
