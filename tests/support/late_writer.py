"""A writer that commits later than others, in a thread and a connection of its own."""

import threading
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def late_writer(write):
    """Write now, and commit when the block ends."""
    written, may_commit = threading.Event(), threading.Event()

    def run():
        with transaction.atomic():
            write()
            written.set()
            may_commit.wait(timeout=60)
        connection.close()

    writer = threading.Thread(target=run)
    writer.start()
    assert written.wait(timeout=60)
    try:
        yield
    finally:
        may_commit.set()
        writer.join()
