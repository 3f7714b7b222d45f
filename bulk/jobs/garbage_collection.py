"""
Limits Python's cyclic garbage collection, which takes more than a third of the time of a big import and finds nothing.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 200_000  # new objects minus deleted ones between collections: about a chunk of rows


@contextmanager
def seldom_searched() -> Iterator[None]:
    """
    Collect garbage seldom, and only objects created in the block, so that a chunk of rows is not searched repeatedly.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
