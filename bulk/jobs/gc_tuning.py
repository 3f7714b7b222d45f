"""
Limits Python's cyclic garbage collection, which takes more than a third of the time of a big import and finds nothing.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# The number of new objects, minus deleted ones, after which garbage is collected: about a chunk of rows.
THRESHOLD = 200_000


@contextmanager
def infrequent_collection() -> Iterator[None]:
    """
    Collect garbage seldom, and only objects created in the block, so that a chunk of rows is not searched repeatedly.
    """
    previous = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*previous)
        gc.unfreeze()
