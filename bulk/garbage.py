"""Python's search for garbage in cycles, which costs more than a third of a big import and finds none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 200_000  # new objects, those let go of deducted: about a chunk of rows


@contextmanager
def seldom_searched() -> Iterator[None]:
    """Search seldom, and only among what is made within the block: a chunk of rows is not searched again and again."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
