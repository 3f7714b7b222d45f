"""Reading ahead: while the database works on a chunk of rows, the next one is read."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from django.utils.translation import get_language, override

T = TypeVar("T")


def read_ahead(rows: Iterator[T], size: int) -> Generator[list[T], None, None]:
    """Yield rows in chunks. ``rows`` are read in a thread, in the caller's language, and must not ask the database."""

    language = get_language()

    def read() -> list[T]:
        with override(language):
            return list(islice(rows, size))

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as reader:
        coming = reader.submit(read)
        while chunk := coming.result():
            coming = reader.submit(read)
            yield chunk
