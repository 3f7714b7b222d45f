"""Reading ahead of who works on the rows."""

import threading
from itertools import count

import pytest
from django.utils import translation

from bulk.ahead import read_ahead


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_every_row_comes_once_and_in_order():
    assert list(read_ahead(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(read_ahead(iter(()), 3)) == []


def test_one_chunk_is_read_ahead_and_no_more():
    source = count()
    chunks = read_ahead(source, 10)

    assert next(chunks)[0] == 0
    chunks.close()

    assert next(source) == 20


def test_the_thread_ends_with_the_rows_and_with_who_gives_up():
    list(read_ahead(iter(range(3)), 2))
    chunks = read_ahead(count(), 2)
    next(chunks)
    chunks.close()

    assert readers() == []


def test_what_is_wrong_with_a_row_is_raised_where_its_chunk_is_asked_for():
    chunks = read_ahead(iter([1, 2, 0]), 2)
    dividing = read_ahead((1 // number for number in (1, 1, 0)), 2)

    assert list(chunks) == [[1, 2], [0]]
    assert next(dividing) == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(dividing)
    assert readers() == []


def test_rows_are_read_in_the_language_of_who_asks():
    with translation.override("de"):
        [languages] = read_ahead((translation.get_language() for _ in range(1)), 5)

    assert languages == ["de"]
